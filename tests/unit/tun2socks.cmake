# SPDX-License-Identifier: Apache-2.0
# tun2socks without a kernel: packets by the callback device.
if(TARGET udptun_static)
  unit_test(engine_tun test_engine_tun.c engine_fixture.c LIBS udptun_static libev Threads::Threads)
  unit_test(engine_dns test_engine_dns.c engine_fixture.c LIBS udptun_static libev
            Threads::Threads)
  if(UDPTUN_PORTABLE) # what a socket could not deliver is not told there
    target_compile_definitions(unit_engine_dns PRIVATE UDP_IO_IS_PORTABLE)
  endif()
  unit_test(engine_loop test_engine_loop.c engine_fixture.c LIBS udptun_static libev
            Threads::Threads)
  unit_test(engine_objects test_engine_objects.c engine_fixture.c
            LIBS udptun_static libev Threads::Threads)
endif()
unit_test(tun_packet test_tun_packet.c tun_world.c LIBS tun2socks_static)
if(TARGET platform_objects AND "linux" IN_LIST PLATFORM_FOLDERS) # the kernel's headers before packets
  unit_test(tun_device test_tun_device.c LIBS ${PLATFORM_LIBS})
endif()
unit_test(tun_icmp test_tun_icmp.c tun_world.c LIBS tun2socks_static)
unit_test(tun_extension test_tun_extension.c tun_world.c LIBS tun2socks_static)
unit_test(tun_path test_tun_path.c tun_world.c LIBS tun2socks_static)
unit_test(tun_tcp test_tun_tcp.c tun_app.c tun_world.c LIBS tun2socks_static lwip_headers Threads::Threads)
unit_test(tun_tcp_many test_tun_tcp_many.c tun_app.c tun_world.c LIBS tun2socks_static lwip_headers Threads::Threads)
