// Images cut into regions, which are the tasks of a step.
#pragma once

#include <algorithm>

#include "nn/kernels.h"

namespace vista::nn {

inline int CeilDiv(int value, int by) { return (value + by - 1) / by; }

struct Cut {
  int rows = 1, columns = 1;  // of a region, at most
  int down = 1, across = 1;   // regions of an image

  Cut(int height, int width, int of_rows, int of_columns)
      : rows(of_rows),
        columns(of_columns),
        down(CeilDiv(height, of_rows)),
        across(CeilDiv(width, of_columns)) {}

  [[nodiscard]] int tasks(int batch) const { return batch * down * across; }

  [[nodiscard]] Region At(int task, int height, int width) const {
    const int column = task % across * columns;
    const int row = task / across % down * rows;
    return {task / (across * down), row, std::min(rows, height - row), column,
            std::min(columns, width - column)};
  }
};

}  // namespace vista::nn
