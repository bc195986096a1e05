#include "daemon/pipeline/segment.hpp"

#include <algorithm>
#include <cstring>

#include "daemon/core/panic.hpp"
#include "daemon/pipeline/bytes.hpp"
#include "daemon/pipeline/headers.hpp"
#include "daemon/pipeline/protocols.hpp"

namespace vethd {
namespace {

// More than the longest chain of IPv6 extension headers that find_headers() looks behind; it keeps
// every offset within 16 bits.
constexpr std::uint32_t kMaxNetworkHeaderBytes = 32768;

constexpr std::uint8_t kTcpFin = 0x01;
constexpr std::uint8_t kTcpPsh = 0x08;
constexpr std::uint8_t kTcpCwr = 0x80;

void store_sum(std::byte* at, Wsum sum) {
  store_be16(at, static_cast<std::uint16_t>(~csum_fold(sum)));
}

}  // namespace

Segmenter::Segmenter(const Frame& frame, const Arena& arena, Ipv4Ids ids) noexcept
    : arena_(&arena),
      frame_(&frame),
      data_(arena.bytes_of(frame)),
      ids_(ids),
      segment_bytes_(frame.meta.gso_size) {}

std::optional<Segmenter> Segmenter::of(const Frame& frame, const Arena& arena, Ipv4Ids ids) {
  Segmenter segmenter(frame, arena, ids);
  if (!segmenter.find_headers()) return std::nullopt;
  segmenter.left_ = frame.len - segmenter.headers_.payload;
  segmenter.piece_at_ = segmenter.headers_.payload;
  return segmenter;
}

bool Segmenter::find_headers() {
  const FrameMeta& meta = frame_->meta;
  const std::uint8_t type = meta.gso_type & static_cast<std::uint8_t>(~kGsoEcn);
  const std::uint32_t linear = frame_->linear_bytes();
  if (type != kGsoTcpv4 && type != kGsoTcpv6 && type != kGsoUdpL4) return false;
  if (meta.ip_summed != IpSummed::partial || meta.gso_size == 0) return false;
  const auto network = find_network_header(data_, linear);
  if (!network) return false;

  headers_.l3 = network->offset;
  headers_.l4 = meta.csum_start;
  headers_.tcp = type != kGsoUdpL4;
  headers_.ipv6 = network->protocol == kEthPIpv6;
  if (!headers_.ipv6 && network->protocol != kEthPIp) return false;
  if (headers_.tcp && headers_.ipv6 != (type == kGsoTcpv6)) return false;
  if (meta.csum_offset != (headers_.tcp ? kTcpCheckOffset : kUdpCheckOffset)) return false;

  std::uint32_t l4_bytes = headers_.tcp ? kTcpHeaderBytes : kUdpHeaderBytes;
  if (linear < headers_.l4 || linear - headers_.l4 < l4_bytes) return false;
  const std::uint32_t l3_bytes = headers_.l4 < headers_.l3 ? 0U : headers_.l4 - headers_.l3;
  if (headers_.ipv6) {
    if (l3_bytes < kIpv6HeaderBytes) return false;
  } else if (l3_bytes < kIpv4HeaderBytes || (load8(data_ + headers_.l3) & 0xfU) * 4 != l3_bytes) {
    return false;
  }
  if (l3_bytes > kMaxNetworkHeaderBytes) return false;
  if (headers_.tcp) l4_bytes = (load8(data_ + headers_.l4 + 12) >> 4) * 4U;
  if (headers_.tcp && (l4_bytes < kTcpHeaderBytes || linear - headers_.l4 < l4_bytes)) return false;
  headers_.payload = static_cast<std::uint16_t>(headers_.l4 + l4_bytes);
  return true;
}

std::uint32_t Segmenter::segments() const {
  const std::uint32_t payload = frame_->len - headers_.payload;
  return std::max(1U, (payload + segment_bytes_ - 1) / segment_bytes_);
}

std::uint32_t Segmenter::max_bytes() const {
  return headers_.payload + std::min(segment_bytes_, frame_->len - headers_.payload);
}

Wsum Segmenter::copy_payload(std::byte* to, std::uint32_t bytes) {
  Wsum sum = 0;
  for (std::uint32_t done = 0; done < bytes;) {
    const std::uint32_t end = piece_ == nullptr ? frame_->linear_bytes() : piece_->len;
    if (piece_at_ == end) {
      piece_ = piece_ == nullptr ? frame_->frag_list : piece_->next;
      piece_at_ = 0;
      continue;  // ends: the pieces have left_ bytes, of which `bytes` are a part
    }
    const std::byte* const from = piece_ == nullptr ? data_ : arena_->bytes_of(*piece_);
    const std::uint32_t part = std::min(bytes - done, end - piece_at_);
    sum = csum_block_add(sum, csum_copy(to + done, from + piece_at_, part), done);
    piece_at_ += part;
    done += part;
  }
  return sum;
}

void Segmenter::write_network_header(std::byte* ip, std::uint32_t bytes) const {
  if (headers_.ipv6) {
    store_be16(ip + 4, static_cast<std::uint16_t>(bytes - kIpv6HeaderBytes));
    return;
  }
  store_be16(ip + 2, static_cast<std::uint16_t>(bytes));
  if (ids_ == Ipv4Ids::incrementing)
    store_be16(ip + 4, static_cast<std::uint16_t>(load_be16(ip + 4) + index_));
  store_be16(ip + 10, ipv4_checksum(ip, headers_.l4 - headers_.l3));
}

void Segmenter::write_tcp_header(std::byte* tcp, bool last) const {
  store_be32(tcp + 4, load_be32(tcp + 4) + index_ * segment_bytes_);
  std::uint8_t flags = load8(tcp + 13);
  if (!last) flags &= static_cast<std::uint8_t>(~(kTcpFin | kTcpPsh));
  if (index_ > 0) flags &= static_cast<std::uint8_t>(~kTcpCwr);
  store8(tcp + 13, flags);
}

std::uint32_t Segmenter::write(std::byte* to) {
  invariant(!done(), "a super-frame is split once");
  const std::uint32_t payload = std::min(segment_bytes_, left_);
  const std::uint32_t bytes = headers_.payload + payload;
  const std::uint32_t l4_header = headers_.payload - headers_.l4;
  std::byte* const l4 = to + headers_.l4;
  std::byte* const check = l4 + frame_->meta.csum_offset;
  std::memcpy(to, data_, headers_.payload);
  const Wsum payload_sum = copy_payload(to + headers_.payload, payload);

  write_network_header(to + headers_.l3, bytes - headers_.l3);
  if (headers_.tcp)
    write_tcp_header(l4, payload == left_);
  else
    store_be16(l4 + 4, static_cast<std::uint16_t>(bytes - headers_.l4));

  // The field is part of the header's bytes: it brings the sum of the pseudo-header with it. The
  // header is whole words, so the payload's sum needs no turning.
  Wsum sum = csum_add(csum_partial(l4, l4_header), payload_sum);
  sum = csum_sub(sum, csum_of(frame_->len - headers_.l4));
  sum = csum_add(sum, csum_of(bytes - headers_.l4));
  store_sum(check, sum);
  if (!headers_.tcp && load_be16(check) == 0) store_be16(check, 0xffff);  // CSUM_MANGLED_0

  left_ -= payload;
  ++index_;
  return bytes;
}

}  // namespace vethd
