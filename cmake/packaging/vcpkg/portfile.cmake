# An overlay port that builds the checkout it lies in:
#
#     vcpkg install "anabranch[fmt]" --overlay-ports=cmake/packaging/vcpkg
#
# libanabranch.so is built for static triplets too, which get libanabranch.a besides.

get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../.." ABSOLUTE)

vcpkg_check_features(
    OUT_FEATURE_OPTIONS FEATURE_OPTIONS
    FEATURES
        attention ANABRANCH_ATTENTION
        capi ANABRANCH_CAPI
        eigen ANABRANCH_EIGEN
        fmt ANABRANCH_FMT
        hf ANABRANCH_HF
        linear ANABRANCH_LINEAR
)

set(SIMD OFF)
if("attention" IN_LIST FEATURES OR "linear" IN_LIST FEATURES)
    set(SIMD ON)
endif()
set(CAPI_STATIC OFF)
if("capi" IN_LIST FEATURES AND VCPKG_LIBRARY_LINKAGE STREQUAL "static")
    set(CAPI_STATIC ON)
    set(VCPKG_POLICY_DLLS_IN_STATIC_LIBRARY enabled)
endif()

if(NOT SIMD AND NOT "capi" IN_LIST FEATURES AND NOT "hf" IN_LIST FEATURES)
    set(VCPKG_BUILD_TYPE release)  # headers alone
endif()

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        ${FEATURE_OPTIONS}
        -DANABRANCH_SIMD=${SIMD}
        -DANABRANCH_CAPI_STATIC=${CAPI_STATIC}
        -DANABRANCH_ATTENTION_C=OFF
        -DANABRANCH_TORCH=OFF
        -DANABRANCH_TRAIN=OFF
        -DANABRANCH_LLAMA=OFF
        -DANABRANCH_CUDA=OFF
        -DANABRANCH_MPI=OFF
        -DANABRANCH_TESTS=OFF
        -DANABRANCH_EXAMPLES=OFF
        -DANABRANCH_BENCH=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/anabranch)
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE
    "${CURRENT_PACKAGES_DIR}/debug/include"
    "${CURRENT_PACKAGES_DIR}/debug/share"
    "${CURRENT_PACKAGES_DIR}/share/doc"
)
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
