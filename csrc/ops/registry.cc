#include "ops/image_op.h"

namespace vista::ops {

exec::NativeOps All() {
  exec::NativeOps ops;
  ops.push_back(MakeDrawBoxes());
  ops.push_back(MakeEncode());
  ops.push_back(MakePreprocess());
  ops.push_back(MakeResize());
  ops.push_back(MakeRotate());
  ops.push_back(MakeZoom());
  return ops;
}

}  // namespace vista::ops
