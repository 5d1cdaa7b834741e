"""What both stores say."""

from services.inference.conversions.model import MAX_ATTEMPTS, Job

LOST = "CONVERSION_LOST"
LOST_WORDS = f"The service ended {MAX_ATTEMPTS} times while it worked on this."


def over(job: Job) -> str:
    """Why a job cannot be changed."""
    return f"The job has ended already: it is {job.state.value}."
