"""What can go wrong with deployments."""

from headwater.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound


class DeploymentNotFound(NotFound):
    """No deployment of this name is there."""

    reason = "DEPLOYMENT_NOT_FOUND"
    text = "No such deployment."


class ServedNameTaken(AlreadyExists):
    """Another deployment answers to this name. KServe v2 has no projects, so a name is served once per installation."""

    reason = "SERVED_NAME_TAKEN"
    text = "A deployment with this name, whatever its case, is being served already."


class InvalidDeployment(InvalidArgument):
    """The deployment's own fields do not make sense together."""

    reason = "INVALID_DEPLOYMENT"


class DeploymentArchived(FailedPrecondition):
    """The deployment does not serve any more and cannot be changed."""

    reason = "DEPLOYMENT_ARCHIVED"
    text = "The deployment is archived; create it anew."
