"""Triton kernels, each beside a torch reference that defines what it computes.

The folder is installed as ``vista_fast.kernels`` and imported by that name only. This page imports nothing: the
kernels need torch and Triton (extra ``gpu``), their references torch alone.

======================  =================================================================================
module                  what it holds
======================  =================================================================================
``ragged``              ``RaggedImages``: images of different sizes packed in one buffer; the checks of a call
``crop_resize``         the Triton kernel: crop, antialiased resize and normalise, all rows in one launch
``reference``           the same in torch operations, row by row
======================  =================================================================================
"""
