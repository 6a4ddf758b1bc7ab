"""The task engine: events in, segments through, effects out, once. It runs the house, and knows no business."""
