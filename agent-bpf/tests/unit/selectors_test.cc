// SPDX-License-Identifier: Apache-2.0
#include "selectors.h"

#include <gtest/gtest.h>

namespace cellwall {
namespace {

v1::Container container(const std::string& name) {
  v1::Container made;
  made.set_namespace_("shop");
  made.set_pod("web-1");
  made.set_name(name);
  made.set_image("registry.example:5000/shop/web:1.2");
  (*made.mutable_labels())["app"] = "web";
  return made;
}

v1::PolicySelector selector() {
  v1::PolicySelector made;
  made.set_namespace_("shop");
  return made;
}

TEST(Selectors, read_label_requirements_as_kubernetes_does) {
  const auto holds = [](v1::Operator op, std::vector<std::string> values, bool present) {
    v1::Requirement requirement;
    requirement.set_key("tier");
    requirement.set_operator_(op);
    for (const auto& value : values) requirement.add_values(value);
    google::protobuf::Map<std::string, std::string> labels;
    if (present) labels["tier"] = "front";
    return matches(requirement, labels);
  };
  EXPECT_TRUE(holds(v1::OPERATOR_IN, {"back", "front"}, true));
  EXPECT_FALSE(holds(v1::OPERATOR_IN, {"front"}, false));
  EXPECT_FALSE(holds(v1::OPERATOR_NOT_IN, {"front"}, true));
  EXPECT_TRUE(holds(v1::OPERATOR_NOT_IN, {"front"}, false));
  EXPECT_TRUE(holds(v1::OPERATOR_EXISTS, {}, true));
  EXPECT_FALSE(holds(v1::OPERATOR_EXISTS, {}, false));
  EXPECT_TRUE(holds(v1::OPERATOR_DOES_NOT_EXIST, {}, false));
  EXPECT_FALSE(holds(v1::OPERATOR_UNSPECIFIED, {}, true));
}

TEST(Selectors, match_images_by_reference_by_name_and_by_pattern) {
  const std::string digest = "@sha256:0123456789abcdef";
  const struct {
    std::string pattern, image;
    bool matches;
  } kCases[] = {
      {"nginx", "nginx", true},
      {"nginx", "nginx:1.25", true},
      {"nginx", "nginx" + digest, true},
      {"nginx", "nginx:1.25" + digest, true},
      {"nginx:1.25", "nginx:1.25", true},
      {"nginx:1.25", "nginx:1.26", false},
      {"nginx:1.25", "nginx", false},
      {"nginx:1.2", "nginx:1.25", false},
      {"nginx", "nginx-debug:1", false},
      {"nginx", "library/nginx:1", false},
      {"", "nginx", false},
      {"nginx", "", false},
      {"*", "", false},
      {"*", "anything:1", true},
      {"**", "anything:1", true},
      {"*/nginx", "docker.io/library/nginx:1.25", true},
      {"*/nginx", "nginx", false},
      {"*nginx", "nginx:1", true},
      {"*nginx*", "docker.io/nginx-debug:1", true},
      {"registry.example:5000/shop/web", "registry.example:5000/shop/web:1", true},
      {"registry.example:5000/shop/web", "registry.example:5000/shop/web", true},
      {"registry.example", "registry.example:5000/web", false},
      {"registry.example:5000/shop/*", "registry.example:5000/shop/web:1", true},
      {"registry.example:5000/shop/*", "registry.example:5000/other/web:1", false},
      {"registry.example:5000/*:1.*", "registry.example:5000/a/b:1.9", true},
      {"registry.example:5000/*:1.*", "registry.example:5000/a/b:2.1", false},
      {"*@sha256:*", "nginx" + digest, true},
      {"*@sha256:*", "nginx:1", false},
      {"nginx" + digest, "nginx" + digest, true},
      {"nginx.1", "nginx:1", false},
      {"ngin?", "nginx", false},
      {"a*b*c", "axxbyyc", true},
      {"a*b*c", "axxbyycd", false},
      {"a*bc", "abcbc", true},
      {"Nginx", "nginx", false},
  };
  for (const auto& it : kCases)
    EXPECT_EQ(matches_image(it.pattern, it.image), it.matches) << it.pattern << " and " << it.image;
}

TEST(Selectors, long_patterns_take_no_exponential_time) {
  std::string pattern;
  for (int i = 0; i < 200; i++) pattern += "a*";
  EXPECT_FALSE(matches_image(pattern + "b", std::string(4000, 'a')));
}

TEST(Selectors, of_one_namespace_of_several_and_of_all) {
  v1::PolicySelector made = selector();
  v1::Container other = container("nginx");
  other.set_namespace_("bank");
  EXPECT_TRUE(selects(made, container("nginx")));
  EXPECT_FALSE(selects(made, other));
  made.add_more_namespaces("bank");
  EXPECT_TRUE(selects(made, other));
  other.set_namespace_("zoo");
  EXPECT_FALSE(selects(made, other));
  made.set_all_namespaces(true);
  EXPECT_TRUE(selects(made, other));
}

TEST(Selectors, need_all_their_parts) {
  v1::PolicySelector made = selector();
  made.add_containers("nginx");
  made.add_pods("web-1");
  made.add_images("*/shop/web");
  auto* label = made.add_pod_labels();
  label->set_key("app");
  label->set_operator_(v1::OPERATOR_IN);
  label->add_values("web");
  EXPECT_TRUE(selects(made, container("nginx")));
  EXPECT_FALSE(selects(made, container("malware")));
  v1::Container changed = container("nginx");
  changed.set_pod("web-2");
  EXPECT_FALSE(selects(made, changed));
  changed = container("nginx");
  changed.set_image("evil/web:1");
  EXPECT_FALSE(selects(made, changed));
  changed = container("nginx");
  changed.clear_labels();
  EXPECT_FALSE(selects(made, changed));
}

TEST(Selectors, of_a_named_port_need_the_port_as_it_is) {
  v1::PolicySelector made = selector();
  made.mutable_named_port()->set_name("http");
  made.mutable_named_port()->set_protocol(6);
  made.mutable_named_port()->set_port(8080);
  v1::Container web = container("nginx");
  EXPECT_FALSE(selects(made, web));
  *web.add_ports() = made.named_port();
  EXPECT_TRUE(selects(made, web));
  web.mutable_ports(0)->set_port(8081);
  EXPECT_FALSE(selects(made, web));
  web.mutable_ports(0)->set_port(8080);
  web.mutable_ports(0)->set_protocol(17);
  EXPECT_FALSE(selects(made, web));
}

TEST(Selectors, never_select_what_has_no_name) {
  v1::PolicySelector made;
  made.set_all_namespaces(true);
  EXPECT_FALSE(selects(made, container("")));
  EXPECT_TRUE(selects(made, container("nginx")));
}

}  // namespace
}  // namespace cellwall
