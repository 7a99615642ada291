from lacewing import TaskPhase
from lacewing.testing import BackendContract, make_task
from lacewing_job import JobBackend, JobSettings


class TestJob(BackendContract):
    backend = JobBackend(JobSettings())
    task = make_task("k8s-job", args=["echo", "hello"])
    examples = (
        ({"active": 1}, TaskPhase.RUNNING),
        ({"succeeded": 1}, TaskPhase.SUCCEEDED),
        ({"failed": 1}, TaskPhase.RETRYABLE),
    )
