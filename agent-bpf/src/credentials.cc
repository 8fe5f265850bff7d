// SPDX-License-Identifier: Apache-2.0
#include "credentials.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace cellwall {
namespace {

using Lock = std::lock_guard<std::mutex>;
using Seconds = std::chrono::duration<double>;

// Of the certificate's life: renewed at two thirds, give or take, so that agents do not come all at once.
constexpr double kRenewFrom = 0.64, kRenewTo = 0.69;
constexpr double kRetry = 1.0 / 60;
constexpr double kShortestRetry = 1, kLongestRetry = 600;
// When the authority is replaced.
constexpr double kSoon = 10;

Result<std::string> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail_errno("read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

WallTime later(WallTime now, double seconds) {
  return now + std::chrono::duration_cast<WallTime::duration>(Seconds(seconds));
}

}  // namespace

Credentials::Credentials(const CredentialOptions& options)
    : options_(options),
      file_(options.state_directory + kIdentityFile),
      pending_file_(options.state_directory + "/identity-key.pem") {}

Result<std::unique_ptr<Credentials>> Credentials::open(const CredentialOptions& options) {
  std::unique_ptr<Credentials> made(new Credentials(options));
  if (auto files = made->given(); !files) return std::unexpected(files.error());
  if (!options.files.certificate.empty()) return made;
  const auto kept = made->file_.load();
  if (!kept) return std::unexpected(kept.error());
  const Lock lock(made->mutex_);
  made->identity_ = read_identity(*kept);
  if (auto facts = read_certificate(made->identity_.chain); facts) {
    made->facts_ = *facts;
    made->schedule(std::chrono::system_clock::now());
  } else {
    made->identity_ = {};
  }
  return made;
}

bool Credentials::enrols() const {
  return !options_.join_token_file.empty() || !options_.service_account_token_file.empty() ||
         !identity_.chain.empty();
}

// Read again for each connection: who replaces the files need not restart the agent.
Result<TlsMaterial> Credentials::given() const {
  const TlsFiles& files = options_.files;
  TlsMaterial material;
  for (const auto& [path, text] : {std::pair{&files.authority, &material.authorities},
                                   {&files.certificate, &material.certificate},
                                   {&files.key, &material.key}}) {
    if (path->empty()) continue;
    auto content = read_file(*path);
    if (!content) return std::unexpected(content.error());
    *text = std::move(*content);
  }
  if (!files.authority.empty() && !material.authorities.contains("BEGIN CERTIFICATE"))
    return fail(files.authority + " holds no certificate in PEM form (--tls-ca)");
  return material;
}

TlsMaterial Credentials::material() const {
  return {.authorities = identity_.authorities, .certificate = identity_.chain, .key = identity_.key};
}

Result<TlsMaterial> Credentials::prepare(const Server& server, const Enrol& enrol, WallTime now) {
  bool enrolled = false, good = false;
  std::string used;
  {
    const Lock lock(mutex_);
    if (!options_.files.certificate.empty() || !enrols()) return given();
    enrolled = facts_.has_value();
    good = enrolled && now < facts_->ends;
    used = identity_.join_token;
  }
  const auto token = join_token();
  const bool fresh = token && *token && (*token)->id != used;
  const bool can_enrol = fresh || !options_.service_account_token_file.empty();
  if (good && !fresh) {
    const Lock lock(mutex_);
    return material();
  }
  Result<void> done =
      can_enrol ? enrol_now(server, enrol, fresh ? *token : std::nullopt, now) : Result<void>();
  if (!can_enrol && !token) done = std::unexpected(token.error());
  const Lock lock(mutex_);
  if (!done) error_ = done.error().message;
  // Whether it has ended is the server's to say: the clock here may be wrong.
  if (facts_) return material();
  if (!done) return std::unexpected(done.error());
  return fail("this agent has no certificate, and nothing to enrol with (--join-token-file)");
}

// nullopt: there is none; the file can be removed once it was used.
Result<std::optional<JoinToken>> Credentials::join_token() const {
  if (options_.join_token_file.empty()) return std::nullopt;
  const auto text = read_file(options_.join_token_file);
  if (!text) return std::unexpected(text.error());
  auto token = parse_join_token(*text);
  if (!token) return fail(options_.join_token_file + " " + token.error().message);
  return *token;
}

Result<std::string> Credentials::pending_key() const {
  auto key = pending_file_.load();
  if (!key || !key->empty()) return key;
  key = make_key();
  if (!key) return key;
  // Kept before it is used: with the same key an agent whose answer was lost may use its token again.
  if (auto ok = pending_file_.save(*key); !ok) return std::unexpected(ok.error());
  return key;
}

Result<void> Credentials::keep(Identity identity, WallTime now) {
  const auto facts = read_certificate(identity.chain);
  if (!facts || !belongs_to(identity.chain, identity.key))
    return fail("the server's answer holds no certificate for the key of this agent");
  if (fingerprints(identity.authorities).empty()) return fail("the server's answer names no authority");
  if (auto ok = file_.save(write_identity(identity)); !ok) return ok;
  identity_ = std::move(identity);
  facts_ = *facts;
  error_.clear();
  schedule(now);
  return {};
}

double Credentials::random(double from, double to) {
  return std::uniform_real_distribution<double>(from, to)(random_);
}

void Credentials::schedule(WallTime now) {
  const double life = Seconds(facts_->ends - facts_->from).count();
  next_request_ = std::max(now, later(facts_->from, life * random(kRenewFrom, kRenewTo)));
}

std::optional<std::string> Credentials::request_due(WallTime now) {
  const Lock lock(mutex_);
  if (!facts_ || !options_.files.certificate.empty() || now < next_request_) return std::nullopt;
  const double life = Seconds(facts_->ends - facts_->from).count();
  next_request_ = later(now, std::clamp(life * kRetry, kShortestRetry, kLongestRetry) * random(0.75, 1.25));
  auto key = make_key();
  if (!key) {
    error_ = key.error().message;
    return std::nullopt;
  }
  renewing_key_ = std::move(*key);
  auto request = make_certificate_request(renewing_key_, options_.node);
  if (!request) {
    error_ = request.error().message;
    return std::nullopt;
  }
  return std::move(*request);
}

bool Credentials::take(const v1::IssuedCertificate& issued, WallTime now) {
  const Lock lock(mutex_);
  Identity next = identity_;
  next.key = std::exchange(renewing_key_, "");
  next.chain = issued.chain();
  next.authorities = issued.authorities().certificates();
  const Result<void> kept = issued.error().empty() ? keep(std::move(next), now) : fail(issued.error());
  if (kept) {
    renewals_++;
    return true;
  }
  failures_++;
  error_ = kept.error().message;
  return false;
}

Result<void> Credentials::take(const v1::Authorities& authorities, WallTime now) {
  const Lock lock(mutex_);
  if (!facts_ || !options_.files.certificate.empty()) return {};
  if (fingerprints(authorities.certificates()).empty())
    return fail("the server names no authority that can be read");
  if (authorities.certificates() != identity_.authorities) {
    Identity next = identity_;
    next.authorities = authorities.certificates();
    if (auto ok = file_.save(write_identity(next)); !ok) return ok;
    identity_ = std::move(next);
  }
  const auto chain = fingerprints(identity_.chain);
  if (!authorities.signer().empty() && std::ranges::find(chain, authorities.signer()) == chain.end()) {
    const double life = Seconds(facts_->ends - facts_->from).count();
    next_request_ = std::min(next_request_, later(now, random(0, std::min(kSoon, life / 20))));
  }
  return {};
}

std::optional<std::string> Credentials::complaint(WallTime now) {
  const Lock lock(mutex_);
  std::string now_wrong = error_;
  if (facts_ && now >= facts_->ends) {
    now_wrong = "the certificate of this agent ended at " + time_text(facts_->ends) +
                (error_.empty() ? "" : ", and it could not get another: " + error_) +
                "; make a token with 'cellwall node join-token create --node " + options_.node +
                "' and put it where --join-token-file points to";
  }
  if (now_wrong == told_) return std::nullopt;
  told_ = now_wrong;
  if (now_wrong.empty()) return std::nullopt;
  return now_wrong;
}

std::string Credentials::error() const {
  const Lock lock(mutex_);
  return error_;
}

std::string Credentials::enrolled_store() const {
  const Lock lock(mutex_);
  return identity_.join_token.empty() ? "" : identity_.store;
}

void Credentials::count(google::protobuf::Map<std::string, uint64_t>* counters) const {
  const Lock lock(mutex_);
  if (!facts_) return;
  (*counters)["certificate_ends_seconds"] =
      static_cast<uint64_t>(std::chrono::system_clock::to_time_t(facts_->ends));
  (*counters)["certificate_renewals"] = renewals_;
  (*counters)["certificate_renewals_failed"] = failures_;
}

}  // namespace cellwall
