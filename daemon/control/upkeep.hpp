// What a user may change of a TAP and could not, or without harm, of a veth: put back.
#pragma once

namespace vethd {

struct PairEnd;
struct VethPair;

/// Looks at the state last seen, end.link and end.features, and says in the log what was put back:
/// - a carrier that others have switched: a veth refuses that (EOPNOTSUPP);
/// - the default qdisc, which takes the place of one that was deleted: of a veth that is noqueue.
///   A qdisc that somebody has set stays;
/// - a txqueuelen other than the configured one: it is the length of the ring in front of the path,
///   whose memory no sender is charged with;
/// - rx-gro-list, which a veth has and no virtio-net header can describe.
///
/// Threads  the loop's.
void put_back(const VethPair& pair, PairEnd& end);

}  // namespace vethd
