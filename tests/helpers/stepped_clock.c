/* Preloaded into a test's program: CLOCK_REALTIME, and the kernel's receive timestamps, as if somebody had set the
 * clock by test_step_ns. A time namespace has no CLOCK_REALTIME of its own, and setting it would move the machine's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

int64_t test_step_ns;

static void step(struct timespec *time)
{
    int64_t ns = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + test_step_ns;
    time->tv_sec = ns / 1000000000;
    time->tv_nsec = ns % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(clock, time);
    if (clock == CLOCK_REALTIME && !status)
        step(time);
    return status;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, struct timespec *timeout)
{
    static int (*real)(int, struct mmsghdr *, unsigned int, int, struct timespec *);
    if (!real)
        real = (int (*)(int, struct mmsghdr *, unsigned int, int, struct timespec *))dlsym(RTLD_NEXT, "recvmmsg");
    int received = real(fd, messages, count, flags, timeout);
    for (int i = 0; i < received; i++) {
        struct msghdr *message = &messages[i].msg_hdr;
        for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
            struct timespec stamp;
            if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS)
                continue;
            memcpy(&stamp, CMSG_DATA(part), sizeof(stamp));
            step(&stamp);
            memcpy(CMSG_DATA(part), &stamp, sizeof(stamp));
        }
    }
    return received;
}
