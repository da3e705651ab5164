# `::part` names a target of CMake, not a symbol.
s#`::#`anabranch::#g
# Documents that are not in the reference are named, not linked.
s#\](\([^)]*\(examples\|tests\|bench\|cmake\)/[^)]*\.md\))#] (\1)#g
