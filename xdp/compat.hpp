// What newer kernels have and the headers of Debian 12 do not name yet.
#pragma once

#include <linux/if_xdp.h>

#ifndef XDP_USE_SG
#define XDP_USE_SG (1 << 4)     // Linux 6.6: bind flag, frames in several descriptors
#define XDP_PKT_CONTD (1 << 0)  // of a descriptor: the frame continues in the next
#endif
