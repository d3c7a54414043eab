"""Kernels run on CPU tensors through Triton's interpreter, which has to be chosen before anything imports Triton, as
transformers does."""

import os

os.environ["TRITON_INTERPRET"] = "1"
