"""Names of the tags on MLflow runs, which the events of a sweep carry as well. Recorded: a name never changes."""

SWEEP_ID = "sweep.id"
ROLE = "sweep.role"
"""`sweep` on the run of a sweep, `trial` on those of its trials."""

TRIAL_ID = "sweep.trial_id"
CONFIG_DIGEST = "sweep.config_digest"
SETTING = "sweep.setting"
"""Equal for all seeds of a setting under one epoch budget, in every sweep."""

IS_REFERENCE = "sweep.reference"
RETRIES = "sweep.retries"
STOP_REASON, STOP_DETAIL = "sweep.stop_reason", "sweep.stop_detail"
"""Set when a run ends, and removed when it continues."""

LOG_FILE = "sweep.log_file"
REUSED = "sweep.reused_from"
"""The sweep that trained a trial, where this sweep has taken it over."""

REPLICATE_OF = "sweep.replicate_of"
"""On an extra seed of a setting: the trial whose setting it is."""

CONFIRMS = "sweep.confirms"
"""On the run of a confirmation: its screening sweep."""

FINALIST, RUN, FOLD = "sweep.finalist", "sweep.run", "sweep.fold"
"""On each trial of a confirmation: the screened trial, the number of the run, and its fold."""

SPACE, PROFILE = "sweep.space", "sweep.profile"
FOLDER, DRIVER = "sweep.folder", "sweep.driver"
INCOMPLETE = "sweep.incomplete"
"""On a run that was created again, until it has all events of its trial: a process that finds it there sends them."""

PROBE = "sweep.probe"
"""On the experiment: when a sweep last tried whether the store takes writes."""

CROWNED = "sweep.crowned"
"""On a version of a registered model that has been champion, now or before: it is not promoted a second time."""

FINGERPRINT, CODE_VERSION = "data.fingerprint", "code.version"
