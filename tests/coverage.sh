#!/bin/sh
# The compiler with LLVM's coverage counters, as `make fuzz` gives it to cargo for the crates of this workspace alone:
# dependencies stay as they were built. The flags are those of cargo-fuzz without a sanitizer; they need no nightly.
exec "$@" -C passes=sancov-module -C codegen-units=1 \
    -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
    -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares
