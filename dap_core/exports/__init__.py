"""Label sets in the formats of other tools."""

from dap_core.exports.coco import ExportReport, export_coco

__all__ = ["ExportReport", "export_coco"]
