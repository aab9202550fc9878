/* Preloaded into ovs-vswitchd-dpdk (LD_PRELOAD): limits the number of packet buffers that it allocates.
 *
 * Open vSwitch asks DPDK for 262,144 buffers, and for half as many when they do not fit, and has no setting for that.
 * Without huge pages each takes a page of 4 KB, all of them resident: 1 GB. Whether an attempt that does not fit is
 * repeated depends on where in its memory DPDK runs out: it may report ENOBUFS (the last piece holds no buffer) in place
 * of ENOMEM, and then Open vSwitch gives up, and all ports stay dead. A number that fits at once avoids both.
 *
 * vhost-user ports hold no buffers: frames wait in the memory of the other side. In use are those of one burst, of
 * packets on their way to the controller, and the threads' caches.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#define BUFFERS 16383u /* one less than a power of two uses the memory of the pool's ring best (rte_mempool.h) */

struct rte_mempool;

typedef struct rte_mempool *create_function(const char *name, unsigned n, unsigned cache_size, uint16_t priv_size,
                                            uint16_t data_room_size, int socket_id);

create_function rte_pktmbuf_pool_create;

struct rte_mempool *rte_pktmbuf_pool_create(const char *name, unsigned n, unsigned cache_size, uint16_t priv_size,
                                            uint16_t data_room_size, int socket_id)
{
    static create_function *real; /* called by one thread, which configures ports */
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "rte_pktmbuf_pool_create");
    if (!real)
        abort(); /* no DPDK: preloaded into another program */
    return real(name, n < BUFFERS ? n : BUFFERS, cache_size, priv_size, data_room_size, socket_id);
}
