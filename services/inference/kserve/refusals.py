"""Parts of the protocol that are not done here, with what to do instead."""

CUDA = "CUDA shared memory is not supported: its handles give access to a device, not to a region. Use the system's."
SETTINGS = "Settings come from the environment and are shown by /varz; they are not changed over this protocol."
