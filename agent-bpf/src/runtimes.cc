// SPDX-License-Identifier: Apache-2.0
#include "runtimes.h"

#include <unistd.h>

#include <algorithm>

namespace cellwall {
namespace {

using Lock = std::unique_lock<std::mutex>;

// Where distributions put them. Sockets of single users are not among them: whoever owns one can give any
// container any name.
const std::vector<std::string> kCriSockets = {"/run/containerd/containerd.sock", "/run/crio/crio.sock",
                                              "/run/k3s/containerd/containerd.sock", "/run/cri-dockerd.sock"};
const std::vector<std::string> kDockerSockets = {"/run/docker.sock"};
const std::vector<std::string> kPodmanSockets = {"/run/podman/podman.sock"};

RuntimeSource source_of(std::string name, std::string option, const std::string& socket,
                        const std::vector<std::string>& usual) {
  RuntimeSource source{std::move(name), std::move(option), usual, false, {}};
  if (socket == kAutoSocket) return source;
  source.sockets = {socket_path(socket)};
  source.required = true;
  return source;
}

// The socket to ask: the first that is there; one that the user named in any case, so that its error is told.
std::string choose(const RuntimeSource& source) {
  if (source.required) return source.sockets.front();
  const auto there = std::find_if(source.sockets.begin(), source.sockets.end(),
                                  [](const std::string& path) { return access(path.c_str(), F_OK) == 0; });
  return there == source.sockets.end() ? "" : *there;
}

Listing ask_one(const RuntimeSource& source, std::string* open_socket, std::unique_ptr<Runtime>* runtime,
                std::chrono::milliseconds deadline) {
  const std::string socket = choose(source);
  Listing listing{source.name, source.option, socket, true, RuntimeContainers()};
  if (socket != *open_socket) {
    *runtime = socket.empty() ? nullptr : source.open(socket);
    *open_socket = socket;
  }
  if (!*runtime) return listing;
  listing.containers = (*runtime)->list(deadline);
  listing.speaks = (*runtime)->speaks();
  return listing;
}

}  // namespace

std::vector<RuntimeSource> runtime_sources(const RuntimeSockets& sockets, OpenRuntime open_cri) {
  std::vector<RuntimeSource> sources;
  const auto add = [&](RuntimeSource source, OpenRuntime open) {
    source.open = std::move(open);
    sources.push_back(std::move(source));
  };
  if (!sockets.cri.empty())
    add(source_of("CRI", "--cri-socket", sockets.cri, kCriSockets), std::move(open_cri));
  if (!sockets.docker.empty())
    add(source_of("Docker", "--docker-socket", sockets.docker, kDockerSockets),
        [](const std::string& socket) { return open_engine(socket, Engine::kDocker); });
  if (!sockets.podman.empty())
    add(source_of("Podman", "--podman-socket", sockets.podman, kPodmanSockets),
        [](const std::string& socket) { return open_engine(socket, Engine::kPodman); });
  return sources;
}

std::vector<Ability> naming_abilities(const std::vector<Listing>& listings) {
  std::vector<Ability> abilities;
  for (const Listing& listing : listings) {
    if (listing.socket.empty() || !listing.speaks) continue;
    const bool answers = listing.containers.has_value();
    abilities.push_back({"names from " + listing.source + " at " + listing.socket, answers,
                         answers
                             ? ""
                             : listing.containers.error().message +
                                   "; until it answers, containers have no names (" + listing.option + ")",
                         false});
  }
  if (abilities.empty())
    abilities.push_back(
        {"names from a container runtime", false,
         "no socket of one was found: containers are named by the first digits of their runtime id; "
         "give --cri-socket, --docker-socket or --podman-socket",
         false});
  return abilities;
}

Runtimes::Runtimes(std::vector<RuntimeSource> sources, std::chrono::milliseconds deadline, Notify notify)
    : deadline_(deadline), notify_(std::move(notify)) {
  for (RuntimeSource& source : sources) {
    Asked& asked = asked_.emplace_back();
    asked.source = std::move(source);
    asked.thread = std::thread([this, &asked] { run(asked); });
  }
}

Runtimes::~Runtimes() {
  {
    Lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (Asked& asked : asked_) asked.thread.join();
}

void Runtimes::ask() {
  {
    Lock lock(mutex_);
    for (Asked& asked : asked_) asked.wanted = true;
  }
  changed_.notify_all();
}

std::vector<Listing> Runtimes::take() {
  Lock lock(mutex_);
  return std::exchange(listings_, {});
}

void Runtimes::wait(std::chrono::milliseconds longest) {
  Lock lock(mutex_);
  changed_.wait_for(lock, longest, [this] { return all_answered(); });
}

bool Runtimes::all_answered() const {
  return std::none_of(asked_.begin(), asked_.end(),
                      [](const Asked& asked) { return asked.wanted || asked.busy; });
}

void Runtimes::run(Asked& asked) {
  std::string socket;
  std::unique_ptr<Runtime> runtime;
  Lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stopping_ || asked.wanted; });
    if (stopping_) return;
    asked.wanted = false;
    asked.busy = true;
    lock.unlock();
    Listing listing = ask_one(asked.source, &socket, &runtime, deadline_);
    lock.lock();
    asked.busy = false;
    listings_.push_back(std::move(listing));
    changed_.notify_all();
    lock.unlock();
    notify_();
    lock.lock();
  }
}

}  // namespace cellwall
