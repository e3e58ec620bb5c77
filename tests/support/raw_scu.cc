#include "support/raw_scu.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>

#include "base/digest.h"

namespace isthmus::test {
namespace {

using Clock = std::chrono::steady_clock;

Error raw_error(const char* code, std::string message) {
  return permanent_error(code, std::move(message));
}

std::uint32_t big_endian_number(std::string_view bytes) {
  std::uint32_t value = 0;
  for (const char c : bytes) value = (value << 8) | static_cast<unsigned char>(c);
  return value;
}

std::uint32_t little_endian_number(std::string_view bytes) {
  std::uint32_t value = 0;
  for (auto at = bytes.rbegin(); at != bytes.rend(); ++at) {
    value = (value << 8) | static_cast<unsigned char>(*at);
  }
  return value;
}

// VRs with a 32-bit length (PS3.5 section 7.1.2).
bool has_wide_length(std::string_view vr) {
  return std::string_view("OB OD OF OL OV OW SQ SV UC UN UR UT UV").find(vr) !=
         std::string_view::npos;
}

std::string without_padding(std::string_view text) {
  while (!text.empty() && (text.back() == '\0' || text.back() == ' ')) text.remove_suffix(1);
  return std::string(text);
}

template <typename Visit>
void each_item(std::string_view bytes, Visit visit) {
  while (bytes.size() >= 4) {
    const std::size_t length = big_endian_number(bytes.substr(2, 2));
    visit(static_cast<unsigned char>(bytes[0]), bytes.substr(4, length));
    bytes.remove_prefix(std::min(bytes.size(), 4 + length));
  }
}

// Where the value of a short element of group 0008 is: its tag is found by going from element to
// element from the start, as far as their lengths are told.
std::optional<std::pair<std::size_t, std::size_t>> find_in_group_8(std::string_view dataset,
                                                                   std::string_view syntax,
                                                                   std::uint32_t element) {
  const bool big_endian = syntax == "1.2.840.10008.1.2.2";
  const bool is_implicit = syntax == "1.2.840.10008.1.2";
  const auto number = [&](std::size_t at, std::size_t bytes) {
    const std::string_view field = dataset.substr(at, bytes);
    return big_endian ? big_endian_number(field) : little_endian_number(field);
  };
  for (std::size_t at = 0; at + 12 <= dataset.size() && number(at, 2) <= 8;) {
    const bool wide = !is_implicit && has_wide_length(dataset.substr(at + 4, 2));
    const std::size_t head = wide ? 12 : 8;
    const std::size_t length = is_implicit ? number(at + 4, 4)
                               : wide      ? number(at + 8, 4)
                                           : number(at + 6, 2);
    if (length > dataset.size() - at - head) return std::nullopt;
    if (number(at, 2) == 8 && number(at + 2, 2) == element) return std::pair(at + head, length);
    at += head + length;
  }
  return std::nullopt;
}

constexpr std::string_view kDeflatedSyntax = "1.2.840.10008.1.2.1.99";

// The first bytes of what a deflated data set holds (RFC 1951 without a header, PS3.5 Annex A.5).
std::string inflated_head(std::string_view deflated) {
  std::string head(64 * KiB, '\0');
  z_stream stream{};
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) return {};
  std::string input(deflated);  // zlib wants it mutable
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(head.data());
  stream.avail_out = static_cast<uInt>(head.size());
  (void)::inflate(&stream, Z_SYNC_FLUSH);
  head.resize(head.size() - stream.avail_out);
  (void)::inflateEnd(&stream);
  return head;
}

std::string uid_in(const RawFile& file, std::uint32_t element) {
  const bool deflated = file.transfer_syntax_uid == kDeflatedSyntax;
  const std::string inflated = deflated ? inflated_head(file.dataset) : std::string();
  const std::string& dataset = deflated ? inflated : file.dataset;
  const auto place = find_in_group_8(dataset, file.transfer_syntax_uid, element);
  return place ? without_padding(std::string_view(dataset).substr(place->first, place->second))
               : std::string();
}

int left_milliseconds(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 60'000));
}

}  // namespace

struct RawSocket::Tls {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = nullptr;
  ~Tls() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
};

RawSocket::RawSocket(int fd) : fd_(fd) {}

Result<void> RawSocket::secure(const RawTls& wanted) {
  tls_ = std::make_unique<Tls>();
  SSL_CTX* context = tls_->context;
  SSL_CTX_set_security_level(context, 0);
  SSL_CTX_set_min_proto_version(context, wanted.least_version);
  SSL_CTX_set_max_proto_version(context, wanted.most_version);
  if (!wanted.suites.empty()) SSL_CTX_set_cipher_list(context, wanted.suites.c_str());
  if (!wanted.certificate_pem.empty()) {
    const std::string both = wanted.key_pem + wanted.certificate_pem;
    BIO* bio = BIO_new_mem_buf(both.data(), static_cast<int>(both.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    const bool used = SSL_CTX_use_certificate(context, certificate) == 1 &&
                      SSL_CTX_use_PrivateKey(context, key) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    BIO_free(bio);
    if (!used) return raw_error("raw.tls", "the certificate cannot be used");
  }
  tls_->ssl = SSL_new(context);
  SSL_set_fd(tls_->ssl, fd_);
  for (int i = 0; i < 30; ++i) {  // the socket's own time-out is a second
    const int done = SSL_connect(tls_->ssl);
    if (done == 1) return {};
    if (SSL_get_error(tls_->ssl, done) != SSL_ERROR_WANT_READ) break;
  }
  return raw_error("raw.tls", "the handshake failed");
}

std::string RawSocket::tls_version() const {
  return SSL_get_version(tls_->ssl);
}

std::string RawSocket::tls_server_fingerprint() const {
  X509* certificate = SSL_get1_peer_certificate(tls_->ssl);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &length);
  X509_free(certificate);
  return to_hex(std::as_bytes(std::span(digest).first(length)));
}

bool RawSocket::renegotiate() {
  return SSL_renegotiate(tls_->ssl) == 1 && SSL_do_handshake(tls_->ssl) == 1;
}

Result<std::unique_ptr<RawSocket>> RawSocket::connect(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    return raw_error("raw.connect", "no such host: " + host);
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
  std::unique_ptr<RawSocket> raw(
      new RawSocket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  if (::connect(raw->fd_, found->ai_addr, found->ai_addrlen) != 0) {
    return raw_error("raw.connect", "cannot connect, errno " + std::to_string(errno));
  }
  const int on = 1;
  (void)::setsockopt(raw->fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  const timeval second{1, 0};
  (void)::setsockopt(raw->fd_, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
  const timeval minute{60, 0};
  (void)::setsockopt(raw->fd_, SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof(minute));
  return raw;
}

RawSocket::~RawSocket() {
  tls_.reset();
  ::close(fd_);
}

Result<void> RawSocket::send(std::string_view bytes) {
  return send_all(bytes, 0);
}

Result<void> RawSocket::send_with_more(std::string_view bytes) {
  return send_all(bytes, MSG_MORE);
}

Result<void> RawSocket::send_all(std::string_view bytes, int flags) {
  if (tls_ != nullptr) {
    const int sent = SSL_write(tls_->ssl, bytes.data(), static_cast<int>(bytes.size()));
    if (sent == static_cast<int>(bytes.size())) return {};
    return raw_error("raw.closed", "while sending");
  }
  while (!bytes.empty()) {
    const ssize_t sent =
        ::send(fd_, bytes.data(), bytes.size(), flags | MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return raw_error("raw.closed", "while sending");
    pollfd waiting{fd_, POLLOUT, 0};
    if (::poll(&waiting, 1, 60'000) == 0) return raw_error("raw.timeout", "while sending");
  }
  return {};
}

Result<void> RawSocket::send_gathered(std::vector<std::string_view> pieces) {
  if (tls_ != nullptr) {
    for (const std::string_view piece : pieces) TRY(send_all(piece, 0));
    return {};
  }
  constexpr std::size_t kMostAtOnce = 512;  // IOV_MAX is 1024
  std::array<iovec, kMostAtOnce> vectors;
  for (std::size_t next = 0; next < pieces.size();) {
    const std::size_t count = std::min(pieces.size() - next, kMostAtOnce);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view piece = pieces[next + i];
      vectors[i] = {const_cast<char*>(piece.data()), piece.size()};
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      return raw_error("raw.timeout", "while sending");
    }
    if (sent < 0) return raw_error("raw.closed", "while sending");
    auto left = static_cast<std::size_t>(sent);
    while (next < pieces.size() && left >= pieces[next].size()) left -= pieces[next++].size();
    if (left > 0) pieces[next].remove_prefix(left);
  }
  return {};
}

Result<bool> RawSocket::receive_some(Clock::time_point until) {
  // Far from the end the socket's own time-out of a second is enough, and saves a system call.
  const bool near_the_end = left_milliseconds(until) < 2'000;
  pollfd waiting{fd_, POLLIN, 0};
  const bool pending = tls_ != nullptr && SSL_pending(tls_->ssl) > 0;
  if (near_the_end && !pending && ::poll(&waiting, 1, left_milliseconds(until)) == 0) {
    return raw_error("raw.timeout", "nothing came in time");
  }
  std::array<char, 65536> chunk;
  ssize_t got = 0;
  if (tls_ == nullptr) {
    got = ::recv(fd_, chunk.data(), chunk.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return true;
  } else {
    const int count = SSL_read(tls_->ssl, chunk.data(), static_cast<int>(chunk.size()));
    if (count <= 0 && SSL_get_error(tls_->ssl, count) == SSL_ERROR_WANT_READ) return true;
    got = count;
  }
  if (got <= 0) return false;
  received_.append(chunk.data(), static_cast<std::size_t>(got));
  return true;
}

Result<std::string> RawSocket::receive_pdu(Milliseconds timeout) {
  const auto until = Clock::now() + timeout;
  for (;;) {
    if (received_.size() >= 6) {
      const std::size_t whole = 6 + big_endian_number(std::string_view(received_).substr(2, 4));
      if (received_.size() >= whole) {
        std::string pdu = received_.substr(0, whole);
        received_.erase(0, whole);
        return pdu;
      }
    }
    TRY_ASSIGN(const bool open, receive_some(until));
    if (!open) return raw_error("raw.closed", "the peer closed the connection");
  }
}

std::string RawSocket::receive_until_closed(Milliseconds timeout) {
  const auto until = Clock::now() + timeout;
  for (;;) {
    const auto open = receive_some(until);
    if (!open.ok() || !*open) return received_;
  }
}

bool RawSocket::is_closed_within(Milliseconds timeout) {
  const auto until = Clock::now() + timeout;
  for (;;) {
    const auto open = receive_some(until);
    if (!open.ok()) return false;
    if (!*open) return true;
  }
}

void RawSocket::half_close() {
  (void)::shutdown(fd_, SHUT_WR);
}

Result<std::unique_ptr<RawScu>> RawScu::associate(const std::string& host, std::uint16_t port,
                                                  const RawAssociate& request, Milliseconds timeout,
                                                  const RawTls* tls) {
  TRY_ASSIGN(auto socket, RawSocket::connect(host, port));
  if (tls != nullptr) TRY(socket->secure(*tls));
  TRY(socket->send(raw_associate_rq(request)));
  TRY_ASSIGN(const std::string pdu, socket->receive_pdu(timeout));
  if (pdu[0] == 3 && pdu.size() >= 10) {
    return raw_error("raw.rejected", std::to_string(pdu[7]) + "/" + std::to_string(pdu[8]) + "/" +
                                         std::to_string(pdu[9]));
  }
  if (pdu[0] == 7 && pdu.size() >= 10) {
    return raw_error("raw.aborted", std::to_string(pdu[8]) + "/" + std::to_string(pdu[9]));
  }
  if (pdu[0] != 2) return raw_error("raw.unexpected", "neither accepted nor rejected");
  std::unique_ptr<RawScu> scu(new RawScu(std::move(socket), timeout));
  scu->read_accept(pdu);
  return scu;
}

void RawScu::read_accept(std::string_view pdu) {
  each_item(pdu.substr(std::min<std::size_t>(pdu.size(), 74)),
            [&](int type, std::string_view content) {
              if (type == 0x21 && content.size() >= 4) {
                const int id = static_cast<unsigned char>(content[0]);
                results_[id] = static_cast<unsigned char>(content[2]);
                each_item(content.substr(4), [&](int, std::string_view syntax) {
                  if (results_[id] == 0) accepted_[id] = without_padding(syntax);
                });
              }
              if (type != 0x50) return;
              each_item(content, [&](int user_type, std::string_view user_content) {
                user_items_.emplace(user_type, std::string(user_content));
                if (user_type == 0x51) peer_max_pdu_bytes_ = big_endian_number(user_content);
              });
            });
}

Result<void> RawScu::send_command(int context_id, const RawCommand& command) {
  return socket_->send(raw_data_pdu(context_id, true, true, raw_command(command)));
}

std::size_t RawScu::pdv_room() const {
  const std::size_t limit =
      peer_max_pdu_bytes_ == 0 ? pdu_bytes_ : std::min(pdu_bytes_, peer_max_pdu_bytes_);
  return limit - 6;
}

Result<void> RawScu::send_data(int context_id, std::string_view piece, bool last) {
  do {
    const std::string_view part = piece.substr(0, pdv_room());
    piece.remove_prefix(part.size());
    const std::string head = raw_data_pdu(context_id, false, last && piece.empty(), part);
    TRY(socket_->send(head));
  } while (!piece.empty());
  return {};
}

Result<RawResponse> RawScu::receive_response() {
  const auto began = Clock::now();
  std::string command;
  for (;;) {
    TRY_ASSIGN(const std::string pdu, socket_->receive_pdu(timeout_));
    if (pdu[0] == 7) return raw_error("raw.aborted", "the peer aborted the association");
    if (pdu[0] != 4 || pdu.size() < 12) return raw_error("raw.unexpected", "not a P-DATA-TF");
    command += pdu.substr(12);
    if ((pdu[11] & 2) != 0) break;
  }
  RawResponse response;
  response.took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began);
  response.command = parse_command(command);
  response.status = raw_number(response.command, 0x0900);
  return response;
}

Result<RawResponse> RawScu::echo(int context_id) {
  TRY(send_command(context_id, c_echo_command(next_message_id())));
  return receive_response();
}

Result<RawResponse> RawScu::store(int context_id, std::string_view sop_class_uid,
                                  std::string_view sop_instance_uid, std::string_view dataset) {
  const std::string command = raw_data_pdu(
      context_id, true, true,
      raw_command(c_store_command(next_message_id(), sop_class_uid, sop_instance_uid)));
  std::vector<std::string> heads;
  heads.reserve(dataset.size() / pdv_room() + 1);  // their bytes stay where they are
  std::vector<std::string_view> pieces{command};
  do {
    const std::string_view part = dataset.substr(0, pdv_room());
    dataset.remove_prefix(part.size());
    heads.push_back(raw_data_pdu_head(context_id, false, dataset.empty(), part.size()));
    pieces.push_back(heads.back());
    pieces.push_back(part);
  } while (!dataset.empty());
  TRY(socket_->send_gathered(std::move(pieces)));
  return receive_response();
}

Result<void> RawScu::release() {
  TRY(socket_->send(raw_release_rq()));
  TRY_ASSIGN(const std::string pdu, socket_->receive_pdu(timeout_));
  if (pdu[0] != 6) return raw_error("raw.unexpected", "the release was not answered");
  return {};
}

Result<RawFile> read_raw_file(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream content;
  content << stream.rdbuf();
  const std::string all = std::move(content).str();
  if (all.size() < 140 || all.compare(128, 4, "DICM") != 0) {
    return raw_error("raw.not_part10", "no DICM at byte 128");
  }
  RawFile file;
  std::size_t at = 132;
  // Group 0002 is always Explicit VR Little Endian (PS3.10 section 7.1); its end is found by tag.
  while (at + 8 <= all.size() && all.compare(at, 2, "\x02\x00", 2) == 0) {
    const std::uint32_t element = little_endian_number(std::string_view(all).substr(at + 2, 2));
    const std::string vr = all.substr(at + 4, 2);
    const bool wide = has_wide_length(vr);
    if (wide && at + 12 > all.size()) break;
    const std::size_t head = wide ? 12 : 8;
    const std::size_t length =
        little_endian_number(std::string_view(all).substr(at + (wide ? 8 : 6), wide ? 4 : 2));
    if (length > all.size() - at - head) break;
    const std::string value = without_padding(std::string_view(all).substr(at + head, length));
    if (element == 0x0002) file.sop_class_uid = value;
    if (element == 0x0003) file.sop_instance_uid = value;
    if (element == 0x0010) file.transfer_syntax_uid = value;
    at += head + length;
  }
  if (file.transfer_syntax_uid.empty() || file.sop_class_uid.empty()) {
    return raw_error("raw.not_part10", "no transfer syntax or SOP class in group 0002");
  }
  file.dataset = all.substr(at);
  // What a sender calls an instance is what its data set says; meta information may be stale.
  const std::string of_dataset = uid_in(file, 0x18);
  const std::string class_of_dataset = uid_in(file, 0x16);
  if (!of_dataset.empty() && !class_of_dataset.empty()) {
    file.sop_instance_uid = of_dataset;
    file.sop_class_uid = class_of_dataset;
  }
  if (file.dataset.size() % 2 != 0 && file.transfer_syntax_uid == kDeflatedSyntax) {
    file.dataset.push_back('\0');
  }
  return file;
}

bool replace_sop_instance_uid(RawFile& file, const std::string& uid) {
  const auto place = find_in_group_8(file.dataset, file.transfer_syntax_uid, 0x18);
  if (!place || uid.size() != file.sop_instance_uid.size() || place->second < uid.size())
    return false;
  file.dataset.replace(place->first, uid.size(), uid);
  file.sop_instance_uid = uid;
  return true;
}

}  // namespace isthmus::test
