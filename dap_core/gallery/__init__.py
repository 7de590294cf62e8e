"""HTML pages made of a label set, each one file that opens without a server or a network.

`render_gallery` shows images with their heat maps and boxes, `render_worst` those to look at first,
`render_sweep` one mining parameter over several values, as the paper's figures A1 and A2.
`draw_overlay` draws one image.
"""

from dap_core.gallery.overlay import draw_overlay
from dap_core.gallery.pages import render_gallery, render_worst
from dap_core.gallery.sweeps import SweepName, render_sweep

__all__ = ["SweepName", "draw_overlay", "render_gallery", "render_sweep", "render_worst"]
