"""Triton kernels, each beside a torch reference that defines what it computes.

The folder is installed as ``vista_fast.kernels`` and imported by that name only. This page imports nothing: the
kernels need torch and Triton (extra ``gpu``), their references torch alone.

======================  =================================================================================
module                  what it holds
======================  =================================================================================
``ragged``              ``RaggedImages``: images of different sizes packed in one buffer; ``CropResize``
``calls``               the arguments of the other kernels: ``CropPatchify``, ``BoxOverlay``, ``MaskResize``
``crop_resize``         the Triton kernel: crop, antialiased resize and normalise, all rows in one launch
``crop_patchify``       the same, cut into patches: straight to Qwen-VL's ``pixel_values``
``box_overlay``         outlines of boxes over copies of images
``mask_resize``         masks resized, each to a size of its own, and compared with a threshold
``cuda_library``        crop, resize, normalise and patchify in CUDA C++ (csrc/cuda), where that was built
``tiles``               what the resizing kernels share; tile sizes and their tuning
``reference``           all of them in torch operations, row by row: their definition
======================  =================================================================================
"""
