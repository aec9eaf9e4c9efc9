# SPDX-License-Identifier: Apache-2.0
# ProxyController.
unit_test(proxy_plan test_proxy_plan.c LIBS proxy_objects service_objects
          platform_process_objects platform_loop_objects platform_objects)
unit_test(proxy_clients test_proxy_clients.c LIBS proxy_objects service_objects
          platform_process_objects platform_loop_objects platform_objects)
