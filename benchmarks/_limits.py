"""What the machine itself can do, measured in the run that compares to it."""

from __future__ import annotations

import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which

import numpy as np
from _measuring import seconds

HAND_OVERS = r"""
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 4000 };
static atomic_int turn;
static double taken[ROUNDS];

static void pass(int from, int to) {
  while (atomic_load(&turn) != from) sched_yield();
  atomic_store(&turn, to);
}

static void *answer(void *unused) {
  for (int i = 0; i < ROUNDS; ++i) pass(1, 2);
  return unused;
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e6 * t.tv_sec + 1e-3 * t.tv_nsec;
}

static int order(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, NULL, answer, NULL);
  for (int i = 0; i < ROUNDS; ++i) {
    double started = now();
    pass(0, 1);
    pass(2, 0);
    taken[i] = now() - started;
  }
  pthread_join(thread, NULL);
  qsort(taken, ROUNDS, sizeof *taken, order);
  printf("%f %f\n", taken[ROUNDS / 2], taken[ROUNDS * 99 / 100]);
}
"""


def hand_over() -> tuple[float, float] | None:
    """Median and 99th percentile, in µs, of a round of two C threads that spin for each other; None without a
    compiler."""
    if which("cc") is None:
        print("the hand-over of C threads: left out, there is no cc")
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "hand_over.c"), Path(folder, "hand_over")
        source.write_text(HAND_OVERS, encoding="utf-8")
        subprocess.run(["cc", "-O2", "-pthread", "-o", str(program), str(source)], check=True)
        median, late = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout.split()
    return float(median), float(late)


def copy_bandwidth(size: int = 1 << 28, threads: int = 1) -> float:
    """Bytes per second that so many threads read and write when each copies its part of ``size`` bytes."""
    each = max(size // threads, 1)
    pairs = [(np.ones(each, np.uint8), np.ones(each, np.uint8)) for _ in range(threads)]
    rounds = max(1, (1 << 26) // size)

    def copy(pair: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(rounds):
            np.copyto(pair[1], pair[0])

    with ThreadPoolExecutor(threads) as pool:
        taken = min(seconds(lambda: list(pool.map(copy, pairs))) for _ in range(5))
    return 2 * each * threads * rounds / taken
