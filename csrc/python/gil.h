#pragma once

#include <Python.h>
#include <unistd.h>

namespace vista::python {

// The GIL, given up for the life of this object.
//
// A daemon thread that asks for it back while the interpreter exits never gets it: up to Python
// 3.13 CPython ends such a thread with pthread_exit, whose unwinding would meet a destructor and
// end the whole process by std::terminate. It waits for the end of the process here instead, as
// Python 3.14 makes it do.
class GilReleased {
 public:
  GilReleased() : state_(PyEval_SaveThread()) {}
  GilReleased(const GilReleased&) = delete;
  GilReleased& operator=(const GilReleased&) = delete;
  ~GilReleased() { TakeBack(); }

  // Does `work` with the GIL.
  template <typename Work>
  void Interrupt(Work work) {
    TakeBack();
    work();
    state_ = PyEval_SaveThread();
  }

 private:
  void TakeBack() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // glibc unwinds with an exception that must not go on from here
      while (true) pause();
    }
  }

  PyThreadState* state_;
};

}  // namespace vista::python
