"""What Ray tells only through private modules. Nothing else here imports these.

States of actors are public only with the dashboard (`ray.util.state`), which a sweep does not start.
"""

from pathlib import Path

from ray._private import state, worker


def actor_states(but: str) -> list[str]:
    """Return the states of this job's actors, without actors of the class `but`."""
    job = worker.global_worker.current_job_id
    return [actor["State"] for actor in state.actors(job_id=job).values() if actor["ActorClassName"] != but]


def is_dead(actor_id: str) -> bool:
    """Tell whether Ray has noted that an actor is dead."""
    return bool(state.actors(actor_id=actor_id).get("State") == "DEAD")


def session_logs() -> Path:
    """Return the folder of the logs of the Ray that this process is connected to, on this node."""
    node = worker._global_node
    assert node is not None, "Ray is connected"
    return Path(node.get_logs_dir_path())
