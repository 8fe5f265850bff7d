// SPDX-License-Identifier: Apache-2.0
//
// How the main loop comes by the names of containers: from the runtimes, and from what the agent before it
// knew.
#include "agent.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;

constexpr auto kNamingInterval = 500ms;
// What the start waits for names: containers that have one already are kept under their policy without it.
constexpr auto kFirstNames = 1s;

}  // namespace

void Agent::ask_runtimes(Time now) {
  next_naming_ = now + kNamingInterval;
  runtimes_->ask();
}

std::vector<Listing> Agent::ask_and_wait(Time now) {
  ask_runtimes(now);
  runtimes_->wait(kFirstNames);
  std::vector<Listing> listings = runtimes_->take();
  for (const Listing& listing : listings) take_listing(listing, now);
  return listings;
}

void Agent::handle_runtimes() {
  const Time now = std::chrono::steady_clock::now();
  for (const Listing& listing : runtimes_->take()) take_listing(listing, now);
}

void Agent::take_listing(const Listing& listing, Time now) {
  tell_state(listing);
  if (!listing.containers) return;
  const auto news = containers_.name(*listing.containers, now);
  if (news.empty()) return;
  names_to_save_ = true;
  if (enforcement_) enforcement_->known(news, now);
  if (wall_) wall_->changed();
}

// Once per change, not once per answer.
void Agent::tell_state(const Listing& listing) {
  const bool failed = listing.speaks && !listing.containers;
  std::string state = listing.socket;
  if (!listing.speaks) state += " (another service)";
  if (failed) state += ": " + listing.containers.error().message;
  std::string& last = runtime_states_[listing.source];
  if (std::exchange(last, state) == state) return;
  if (failed)
    log(LogLevel::kWarning, listing.source + " does not answer: " + listing.containers.error().message,
        {{"socket", listing.socket}, {"option", listing.option}});
  else if (!listing.speaks)
    log(LogLevel::kInfo, "not " + listing.source + ": this runtime does not speak it",
        {{"socket", listing.socket}});
  else if (!listing.socket.empty())
    log(LogLevel::kInfo, "containers are named by " + listing.source, {{"socket", listing.socket}});
}

void Agent::look_for_v1_containers() {
  const bool known = cgroup_versions_.containers_without_v2 > 0;
  cgroup_versions_ = inspect_cgroups();
  if (!known && cgroup_versions_.containers_without_v2 > 0)
    log(LogLevel::kWarning, what_is_unsupported(cgroup_versions_));
}

// The file begins with the boot id: cgroup ids are given anew at each boot.
void Agent::recall_containers() {
  const auto text = containers_file_.load();
  if (!text) {
    log(LogLevel::kError, text.error().message);
    return;
  }
  const std::string boot = boot_id() + "\n";
  v1::ContainersUpdate known;
  if (!text->starts_with(boot) || !known.ParseFromString(text->substr(boot.size()))) return;
  for (const auto& container : known.upserted()) containers_.recall(container);
}

void Agent::remember_containers() {
  names_to_save_ = false;
  const std::string text = boot_id() + "\n" + containers_.complete().SerializeAsString();
  if (auto ok = containers_file_.save(text); !ok) log(LogLevel::kError, ok.error().message);
}

}  // namespace cellwall
