"""Training as plain functions over batches (steps 1, 3 and 4 of the paper).

`samples` read images with boxes, `order` says which come when, `batches` decodes and augments them, `loop` trains.
"""
