"""The retail graph: the flow that kinds share, with nothing of its own."""

from graphs.flow import standard_flow

build = standard_flow
