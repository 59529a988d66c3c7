"""Networks of other programs, in and out of `zeroshot.Graph`.

- `onnx_import`, `onnx_operators`, `onnx_constants`: ONNX in
- `torch_import`, `torch_functions`, `torch_layers`, `torch_call`: PyTorch modules in
- `assembler`, `values`, `curves`, `windows`, `problems`: what both ways in share
- `onnx_export`, `torch_source`, `exported`: ONNX and PyTorch source out
"""

from __future__ import annotations
