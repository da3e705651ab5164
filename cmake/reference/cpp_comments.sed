# Doxygen takes only `///`; the head comment of a header becomes the documentation of its file. Lines stay where they are.
1,/^#pragma once/ {
  s#^// \{0,1\}#/// #
  s#^\#pragma once#/// @file#
}
# A backslash in a comment is a backslash, not a command of Doxygen's.
/\/\/\// s#\\#\\\\#g
# Specialisations outside their namespace confuse it.
s#^struct fmt::formatter<#struct formatter<#
