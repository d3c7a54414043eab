// Rows of floats into the tensor of a batch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vista {

// Copies, past the caches where it can: a batch is larger than they are, and lines that are about
// to be overwritten need not be read. Call FinishRows before another thread reads.
void CopyRows(const float* from, std::size_t count, float* to);

// The nearest bfloat16, halves to even; a NaN stays one.
void RoundRows(const float* from, std::size_t count, std::uint16_t* to);

void FinishRows();

}  // namespace vista
