"""The kernels run on CPU tensors through Triton's interpreter, which has to be chosen before they are imported."""

import os

os.environ["TRITON_INTERPRET"] = "1"
