// Keeps a header-only library cheap to include.
#pragma once

namespace anabranch::impl {

template <class T, class>
struct Dependent {
  using type = T;
};

/// T, in a spelling that depends on the template parameter P. A call on a type that does not depend on one is looked
/// up, and its templates instantiated, where a template is defined; on one that does, only where the template is used.
/// With it, whoever includes the library and uses little of it pays for little.
template <class T, class P>
using Lazily = typename Dependent<T, P>::type;

}  // namespace anabranch::impl
