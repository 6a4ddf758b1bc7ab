/* A process whose clock is off by WRONG_CLOCK_S seconds. What time passes, its monotonic clock tells as before.
   Made by tests/storms/test_clock.py and loaded by LD_PRELOAD: libfaketime 0.9 breaks Python's sleep. */

#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long off(void) {
    const char *said = getenv("WRONG_CLOCK_S");
    return said ? atol(said) : 0;
}

int clock_gettime(clockid_t which, struct timespec *told) {
    int failed = (int)syscall(SYS_clock_gettime, which, told);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE))
        told->tv_sec += off();
    return failed;
}

int gettimeofday(struct timeval *told, void *zone) {
    int failed = (int)syscall(SYS_gettimeofday, told, zone);
    if (!failed && told)
        told->tv_sec += off();
    return failed;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told)
        *told = now.tv_sec;
    return now.tv_sec;
}
