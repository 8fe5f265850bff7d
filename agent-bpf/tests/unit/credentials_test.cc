// SPDX-License-Identifier: Apache-2.0
#include "credentials.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "authority.h"

namespace cellwall {
namespace {

using namespace std::chrono_literals;
using std::chrono::system_clock;

class CredentialsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char directory[] = "/tmp/cellwall-credentials-XXXXXX";
    ASSERT_NE(mkdtemp(directory), nullptr);
    directory_ = directory;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }
  static std::string token(const std::string& id) {
    return "cellwall-join." + id + ".secret." + std::string(64, '0') + "\n";
  }

  std::unique_ptr<Credentials> open() {
    auto made = Credentials::open(options_);
    EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
    return made ? std::move(*made) : nullptr;
  }
  // By the token of a ServiceAccount: the authority is in a file, so that nothing is discovered.
  void with_service_account() {
    options_ = {.files = {.authority = write("ca.pem", authority_.pem()), .certificate = "", .key = ""},
                .node = "n1",
                .state_directory = directory_ + "/state",
                .join_token_file = "",
                .service_account_token_file = write("sa", "abc\n")};
  }
  Credentials::Enrol enrol() {
    return [this](const Credentials::Server&, const std::string& authorities,
                  const v1::EnrolRequest& request) -> Result<v1::EnrolResponse> {
      calls_++;
      trusted_ = authorities;
      asked_ = request;
      if (!refusal_.empty()) return fail(refusal_);
      v1::EnrolResponse response;
      *response.mutable_certificate() = issue(request.certificate_request().pkcs10());
      response.set_store("store-1");
      return response;
    };
  }
  v1::IssuedCertificate issue(const std::string& pkcs10) {
    v1::IssuedCertificate issued;
    issued.set_chain(authority_.sign(pkcs10, life_));
    issued.mutable_authorities()->set_certificates(authority_.pem());
    return issued;
  }
  Result<TlsMaterial> prepare(Credentials& credentials, WallTime now = system_clock::now()) {
    return credentials.prepare({.address = "127.0.0.1:1", .tls_name = ""}, enrol(), now);
  }

  std::string directory_, trusted_, refusal_;
  TestAuthority authority_;
  CredentialOptions options_;
  v1::EnrolRequest asked_;
  std::chrono::seconds life_ = 3000s;
  int calls_ = 0;
};

TEST_F(CredentialsTest, enrols_once_and_keeps_what_it_got) {
  with_service_account();
  auto credentials = open();
  const auto material = prepare(*credentials);
  ASSERT_TRUE(material.has_value()) << material.error().message;
  EXPECT_EQ(trusted_, authority_.pem());
  EXPECT_EQ(asked_.service_account_token(), "abc");
  EXPECT_TRUE(belongs_to(material->certificate, material->key));
  ASSERT_TRUE(prepare(*credentials).has_value());
  auto again = open();
  ASSERT_TRUE(prepare(*again).has_value());
  EXPECT_EQ(prepare(*again)->key, material->key);
  EXPECT_EQ(calls_, 1);
  struct stat about = {};
  ASSERT_EQ(stat((directory_ + "/state/identity.pem").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/state/identity-key.pem"));
}

TEST_F(CredentialsTest, asks_again_with_the_same_key_when_the_answer_was_lost) {
  with_service_account();
  refusal_ = "Deadline Exceeded";
  ASSERT_FALSE(prepare(*open()).has_value());
  const std::string first = asked_.certificate_request().pkcs10();
  refusal_.clear();
  const auto material = prepare(*open());
  ASSERT_TRUE(material.has_value());
  EXPECT_TRUE(belongs_to(authority_.sign(first, life_), material->key));
}

TEST_F(CredentialsTest, refuses_a_certificate_for_another_key) {
  with_service_account();
  auto credentials = open();
  const auto other = make_certificate_request(make_key().value(), "n1").value();
  const auto wrong = [&](const Credentials::Server&, const std::string&,
                         const v1::EnrolRequest&) -> Result<v1::EnrolResponse> {
    v1::EnrolResponse response;
    *response.mutable_certificate() = issue(other);
    return response;
  };
  const auto material =
      credentials->prepare({.address = "127.0.0.1:1", .tls_name = ""}, wrong, system_clock::now());
  ASSERT_FALSE(material.has_value());
  EXPECT_TRUE(material.error().message.contains("no certificate for the key"));
}

TEST_F(CredentialsTest, renews_at_two_thirds_of_the_life_and_tries_again_when_refused) {
  with_service_account();
  auto credentials = open();
  const auto first = prepare(*credentials);
  const auto now = system_clock::now();
  EXPECT_FALSE(credentials->request_due(now + 1900s).has_value());
  const auto request = credentials->request_due(now + 2100s);
  ASSERT_TRUE(request.has_value());
  EXPECT_FALSE(credentials->request_due(now + 2101s).has_value());
  v1::IssuedCertificate refused;
  refused.set_error("the disk is full");
  EXPECT_FALSE(credentials->take(refused, now + 2102s));
  EXPECT_EQ(credentials->error(), "the disk is full");
  EXPECT_EQ(credentials->complaint(now + 2102s), "the disk is full");
  EXPECT_FALSE(credentials->complaint(now + 2103s).has_value());
  const auto second = credentials->request_due(now + 2200s);
  ASSERT_TRUE(second.has_value());
  EXPECT_TRUE(credentials->take(issue(*second), now + 2200s));
  EXPECT_EQ(credentials->error(), "");
  const auto renewed = prepare(*credentials);
  EXPECT_NE(renewed->key, first->key);
  EXPECT_TRUE(belongs_to(renewed->certificate, renewed->key));
}

TEST_F(CredentialsTest, renews_soon_when_another_authority_signs) {
  with_service_account();
  auto credentials = open();
  ASSERT_TRUE(prepare(*credentials).has_value());
  const auto now = system_clock::now();
  const TestAuthority next;
  v1::Authorities both;
  both.set_certificates(authority_.pem() + next.pem());
  both.set_signer(fingerprints(authority_.pem())[0]);
  ASSERT_TRUE(credentials->take(both, now).has_value());
  EXPECT_FALSE(credentials->request_due(now + 60s).has_value());
  both.set_signer(fingerprints(next.pem())[0]);
  ASSERT_TRUE(credentials->take(both, now).has_value());
  EXPECT_TRUE(credentials->request_due(now + 60s).has_value());
  EXPECT_EQ(prepare(*credentials)->authorities, both.certificates());
  v1::Authorities none;
  EXPECT_FALSE(credentials->take(none, now).has_value());
  EXPECT_EQ(prepare(*credentials)->authorities, both.certificates());
}

TEST_F(CredentialsTest, enrols_anew_when_the_certificate_has_ended_and_says_so_when_it_cannot) {
  with_service_account();
  auto credentials = open();
  const auto first = prepare(*credentials);
  const auto later = system_clock::now() + 4000s;
  refusal_ = "not today";
  const auto old = prepare(*credentials, later);
  ASSERT_TRUE(old.has_value());
  EXPECT_EQ(old->key, first->key);
  const auto complaint = credentials->complaint(later);
  ASSERT_TRUE(complaint.has_value());
  EXPECT_TRUE(complaint->contains("ended at")) << *complaint;
  EXPECT_TRUE(complaint->contains("not today")) << *complaint;
  refusal_.clear();
  EXPECT_NE(prepare(*credentials, later)->key, first->key);
}

TEST_F(CredentialsTest, says_what_is_wrong_with_a_token_file) {
  options_ = {.files = {},
              .node = "n1",
              .state_directory = directory_ + "/state",
              .join_token_file = write("token", "hello"),
              .service_account_token_file = ""};
  EXPECT_TRUE(prepare(*open()).error().message.contains("holds no join token"));
  options_.join_token_file = directory_ + "/missing";
  EXPECT_TRUE(prepare(*open()).error().message.contains("No such file"));
  write("token", token("abcdefghij"));
  options_.join_token_file = directory_ + "/token";
  EXPECT_TRUE(prepare(*open()).error().message.contains("127.0.0.1:1"));
  EXPECT_EQ(calls_, 0) << "nothing is sent to a server that is not known";
}

TEST_F(CredentialsTest, reads_given_files_anew_for_each_connection) {
  options_.files = {.authority = write("ca", authority_.pem()),
                    .certificate = write("cert", "one"),
                    .key = write("key", "k")};
  options_.state_directory = directory_;
  auto credentials = open();
  EXPECT_EQ(prepare(*credentials)->certificate, "one");
  write("cert", "two");
  EXPECT_EQ(prepare(*credentials)->certificate, "two");
}

TEST(Identity, survives_being_written_and_read) {
  const Identity identity{
      .join_token = "abc", .store = "s", .key = "K\n", .chain = "C1\nC2\n", .authorities = "A\n"};
  const Identity read = read_identity(write_identity(identity));
  EXPECT_EQ(read.join_token, "abc");
  EXPECT_EQ(read.store, "s");
  EXPECT_EQ(read.key, "K\n");
  EXPECT_EQ(read.chain, "C1\nC2\n");
  EXPECT_EQ(read.authorities, "A\n");
  EXPECT_EQ(read_identity("nonsense").chain, "");
}

TEST(CertificateRequest, takes_names_that_are_longer_than_a_common_name) {
  EXPECT_TRUE(make_certificate_request(make_key().value(), std::string(253, 'n')).has_value());
}

}  // namespace
}  // namespace cellwall
