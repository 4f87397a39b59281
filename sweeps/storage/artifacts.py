"""Names of the files that a sweep uploads into MLflow, for their writers and their readers."""

EVIDENCE_FOLDER = "evidence"
"""Folder of a trial's evidence among the artifacts of its run."""

VERIFICATION = "verification.json"
"""Artifact of the leader's run: its figures, counted a second time."""


def evidence_file(part: str) -> str:
    """Return the name of the evidence of a part, val or test."""
    return f"evidence-{part}.npz"
