// What newer kernels have and the headers of Debian 12 do not name yet.
#pragma once

#include <linux/if_tun.h>

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20  // Linux 6.2; only together with USO6
#define TUN_F_USO6 0x40
#endif
#ifndef TUN_F_UDP_TUNNEL_GSO
#define TUN_F_UDP_TUNNEL_GSO 0x80        // Linux 6.17
#define TUN_F_UDP_TUNNEL_GSO_CSUM 0x100  // with a finished checksum in the outer header
#endif
