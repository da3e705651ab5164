#include <anabranch/eigen/oracle.hpp>

bool use_eigen();
bool use_eigen() {
  const anabranch::eigen::Oracle oracle(anabranch::eigen::random_weights({}, 1));
  const anabranch::TokenId tokens[] = {1, 2, 3};
  return oracle.logits(tokens).rows() == 3;
}
