"""What operators and the server say to each other. The habits are those of `muster.wire.messages`.

* `clients`      enrolment tokens, and the fleet
* `models`       models and their training
* `configuring`  how the rounds of a model run, and the history of that
* `rounds`       rounds and their files
* `versions`     versions, and which of them devices get
* `strategies`   how they come from one version to the next
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
from muster.wire.admin.strategies import IMMEDIATE, GuardRule, Strategy
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
    VersionRef,
    VersionReply,
    VersionState,
)

__all__ = [
    "FEWEST",
    "IMMEDIATE",
    "LONGEST_QUERY_HOURS",
    "AbandonRound",
    "After",
    "AlertList",
    "AlertReply",
    "CheckpointUpload",
    "ClientList",
    "ClientPage",
    "ClientReply",
    "Clipping",
    "ConfigurationList",
    "ConfigurationReply",
    "Configure",
    "CreateModel",
    "Deploy",
    "DeploymentList",
    "DeploymentReply",
    "FleetStatistics",
    "GuardReply",
    "GuardRule",
    "JudgedReply",
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
    "SetThreshold",
    "SlotsReply",
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
