/* A clock that is SKEW seconds off, for one process and its children, the way a whole machine's would
 * be: what the kernel tells of now and of files is shifted, what it is told of files is shifted back. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <utime.h>

static long skew(void) {
    static long value, known;
    if (!known) {
        const char *text = getenv("SKEW");
        value = text ? atol(text) : 0;
        known = 1;
    }
    return value;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int clock_gettime(clockid_t clock, struct timespec *t) {
    static __typeof__(&clock_gettime) real;
    if (!real) real = REAL(clock_gettime);
    int r = real(clock, t);
    if (!r && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) t->tv_sec += skew();
    return r;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    int r = REAL(gettimeofday)(t, zone);
    if (!r && t) t->tv_sec += skew();
    return r;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

#define SHIFT(s) ((s)->st_mtim.tv_sec += skew(), (s)->st_ctim.tv_sec += skew(), (s)->st_atim.tv_sec += skew())
#define BY_PATH(name, type) \
    int name(const char *restrict path, struct type *restrict s) { \
        int r = REAL(name)(path, s); \
        if (!r) SHIFT(s); \
        return r; \
    }
#define BY_FD(name, type) \
    int name(int fd, struct type *s) { \
        int r = REAL(name)(fd, s); \
        if (!r) SHIFT(s); \
        return r; \
    }
#define AT(name, type) \
    int name(int dir, const char *restrict path, struct type *restrict s, int flags) { \
        int r = REAL(name)(dir, path, s, flags); \
        if (!r) SHIFT(s); \
        return r; \
    }
BY_PATH(stat, stat)
BY_PATH(lstat, stat)
BY_PATH(stat64, stat64)
BY_PATH(lstat64, stat64)
BY_FD(fstat, stat)
BY_FD(fstat64, stat64)
AT(fstatat, stat)
AT(fstatat64, stat64)

int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict s) {
    int r = REAL(statx)(dir, path, flags, mask, s);
    if (!r) {
        s->stx_mtime.tv_sec += skew();
        s->stx_ctime.tv_sec += skew();
        s->stx_atime.tv_sec += skew();
        s->stx_btime.tv_sec += skew();
    }
    return r;
}

static const struct timespec *back(const struct timespec given[2], struct timespec out[2]) {
    if (!given) return given;
    for (int i = 0; i < 2; i++) {
        out[i] = given[i];
        if (given[i].tv_nsec != UTIME_NOW && given[i].tv_nsec != UTIME_OMIT) out[i].tv_sec -= skew();
    }
    return out;
}

int utimensat(int dir, const char *path, const struct timespec given[2], int flags) {
    struct timespec out[2];
    return REAL(utimensat)(dir, path, back(given, out), flags);
}

int futimens(int fd, const struct timespec given[2]) {
    struct timespec out[2];
    return REAL(futimens)(fd, back(given, out));
}

int utimes(const char *path, const struct timeval given[2]) {
    struct timeval out[2];
    for (int i = 0; given && i < 2; i++) {
        out[i] = given[i];
        out[i].tv_sec -= skew();
    }
    return REAL(utimes)(path, given ? out : given);
}
