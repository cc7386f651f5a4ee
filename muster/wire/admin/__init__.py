"""What operators and the server say to each other. The habits are those of `muster.wire.messages`.

* `clients`      enrolment tokens, and the fleet
* `models`       models and their training
* `configuring`  how the rounds of a model run, and the history of that
* `rounds`       rounds and their files
* `versions`     versions, and which of them devices get
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
from muster.wire.admin.versions import (
    Deploy,
    DeploymentList,
    DeploymentReply,
    JudgedReply,
    RegisterVersion,
    Rollback,
    VersionList,
    VersionPage,
    VersionRef,
    VersionReply,
    VersionState,
)

__all__ = [
    "FEWEST",
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
    "Off",
    "OutlierRule",
    "Outliers",
    "Page",
    "RegisterVersion",
    "Rollback",
    "RoundConfig",
    "RoundFile",
    "RoundFileList",
    "RoundFilesPage",
    "RoundList",
    "RoundReply",
    "Rule",
    "SetThreshold",
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
