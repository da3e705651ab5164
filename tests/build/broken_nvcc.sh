#!/bin/sh
# An nvcc that compiles nothing.
echo "nvcc fatal: no host compiler" >&2
exit 1
