"""Step 3: detectors over the backbone of the classifier that drew the maps, their checkpoints and their transfer."""

from dap_core.detectors.checkpoint import Checkpoint, load_checkpoint, read_checkpoint, save_checkpoint
from dap_core.detectors.config import ARCHITECTURES, Architecture, DetectorConfig
from dap_core.detectors.detector import BackboneOrigin, Detections, DetectionTarget, Detector, make_detector
from dap_core.detectors.torchvision_export import export_state_dict
from dap_core.detectors.transfer import Transferred, TransferReport, transfer_weights

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "BackboneOrigin",
    "Checkpoint",
    "DetectionTarget",
    "Detections",
    "Detector",
    "DetectorConfig",
    "TransferReport",
    "Transferred",
    "export_state_dict",
    "load_checkpoint",
    "make_detector",
    "read_checkpoint",
    "save_checkpoint",
    "transfer_weights",
]
