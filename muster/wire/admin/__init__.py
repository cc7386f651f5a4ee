"""What operators and the server say to each other. The habits are those of `muster.wire.messages`.

* `clients`      enrolment tokens, and the fleet
* `cohorts`      named sets of clients
* `models`       models and their training
* `configuring`  how the rounds of a model run, and the history of that
* `rounds`       rounds and their files
* `versions`     versions, and which of them devices get
* `strategies`   how they come from one version to the next
* `experiments`  two or more versions at once, to know which is better
* `monitoring`   metrics, thresholds and alerts, and everything about a model in one reply
* `paging`       pages of lists
"""

from muster.wire.admin.clients import (
    ClientList,
    ClientPage,
    ClientReply,
    FleetStatistics,
    MintedToken,
    MintToken,
    TokenList,
    TokenReply,
)
from muster.wire.admin.cohorts import (
    MOST_COHORTS,
    Between,
    CohortList,
    CohortReply,
    CohortRule,
    LayerSlice,
    SetCohort,
)
from muster.wire.admin.configuring import (
    FEWEST,
    Clipping,
    ConfigurationList,
    ConfigurationReply,
    Configure,
    Off,
    OutlierRule,
    Outliers,
    RoundConfig,
    Rule,
)
from muster.wire.admin.experiments import (
    MOST_EXPERIMENTS,
    Arm,
    ArmReply,
    EffectReply,
    EndExperiment,
    ExperimentList,
    ExperimentReply,
    StartExperiment,
)
from muster.wire.admin.models import CheckpointUpload, CreateModel, ModelList, ModelSummary, Training, TrainingReply
from muster.wire.admin.monitoring import (
    LONGEST_QUERY_HOURS,
    AlertList,
    AlertReply,
    MetricPoint,
    MetricQuery,
    MetricReply,
    MetricSummary,
    ModelStatus,
    SetThreshold,
    ThresholdList,
    ThresholdReply,
)
from muster.wire.admin.paging import After, Page
from muster.wire.admin.rounds import AbandonRound, RoundFile, RoundFileList, RoundFilesPage, RoundList, RoundReply
from muster.wire.admin.strategies import IMMEDIATE, GuardRule, Strategy, VersionRef
from muster.wire.admin.versions import (
    Deploy,
    DeploymentList,
    DeploymentReply,
    GuardReply,
    JudgedReply,
    MoveRollout,
    RegisterVersion,
    Rollback,
    RolloutReply,
    RolloutStatus,
    SlotsReply,
    VersionList,
    VersionPage,
    VersionReply,
    VersionState,
)

__all__ = [
    "FEWEST",
    "IMMEDIATE",
    "LONGEST_QUERY_HOURS",
    "MOST_COHORTS",
    "MOST_EXPERIMENTS",
    "AbandonRound",
    "After",
    "AlertList",
    "AlertReply",
    "Arm",
    "ArmReply",
    "Between",
    "CheckpointUpload",
    "ClientList",
    "ClientPage",
    "ClientReply",
    "Clipping",
    "CohortList",
    "CohortReply",
    "CohortRule",
    "ConfigurationList",
    "ConfigurationReply",
    "Configure",
    "CreateModel",
    "Deploy",
    "DeploymentList",
    "DeploymentReply",
    "EffectReply",
    "EndExperiment",
    "ExperimentList",
    "ExperimentReply",
    "FleetStatistics",
    "GuardReply",
    "GuardRule",
    "JudgedReply",
    "LayerSlice",
    "MetricPoint",
    "MetricQuery",
    "MetricReply",
    "MetricSummary",
    "MintToken",
    "MintedToken",
    "ModelList",
    "ModelStatus",
    "ModelSummary",
    "MoveRollout",
    "Off",
    "OutlierRule",
    "Outliers",
    "Page",
    "RegisterVersion",
    "Rollback",
    "RolloutReply",
    "RolloutStatus",
    "RoundConfig",
    "RoundFile",
    "RoundFileList",
    "RoundFilesPage",
    "RoundList",
    "RoundReply",
    "Rule",
    "SetCohort",
    "SetThreshold",
    "SlotsReply",
    "StartExperiment",
    "Strategy",
    "ThresholdList",
    "ThresholdReply",
    "TokenList",
    "TokenReply",
    "Training",
    "TrainingReply",
    "VersionList",
    "VersionPage",
    "VersionRef",
    "VersionReply",
    "VersionState",
]
