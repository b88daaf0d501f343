package sim

import (
	"context"
	"slices"
	"strings"
)

// kernelModules are those that the image's kernel has and somebody loads.
const kernelModules = "br_netfilter overlay ip_vs ip_vs_rr ip_vs_wrr ip_vs_sh ip_vs_lc ip_vs_wlc nf_conntrack vxlan xt_conntrack iptable_nat ip_tables ip_set dummy bridge"

func runModprobe(_ context.Context, p *process) int {
	given, names, err := options(p.args, "a q r v")
	if err != nil {
		return p.usage(err)
	}
	if p.session.user != "root" {
		return p.fail("ERROR: could not insert '%s': Operation not permitted", strings.Join(names, " "))
	}
	for _, name := range names {
		name = strings.ReplaceAll(name, "-", "_")
		if !slices.Contains(strings.Fields(kernelModules), name) {
			return p.fail("FATAL: Module %s not found in directory /lib/modules/%s", name, kernelVersion)
		}
		if err := p.guest.update(func(st *guestState) {
			loaded := slices.Index(st.Modules, name)
			if is(given, "r") && loaded >= 0 {
				st.Modules = slices.Delete(st.Modules, loaded, loaded+1)
			} else if !is(given, "r") && loaded < 0 {
				st.Modules = append(st.Modules, name)
			}
		}); err != nil {
			return p.fail("%v", err)
		}
	}
	return 0
}

func runLsmod(_ context.Context, p *process) int {
	p.printf("Module                  Size  Used by\n")
	for _, m := range p.guest.state.Modules {
		p.printf("%-22s %6d  0\n", m, 16384)
	}
	return 0
}

// tunable are the settings that the model goes by, and those that change nothing that it shows.
const tunable = "net.ipv4.ip_forward vm.swappiness fs.inotify.max_user_instances fs.inotify.max_user_watches"

func runSysctl(_ context.Context, p *process) int {
	given, args, err := options(p.args, "w n q")
	if err != nil {
		return p.usage(err)
	}
	for _, a := range args {
		k, v, set := strings.Cut(a, "=")
		k = strings.ReplaceAll(strings.TrimSpace(k), "/", ".")
		have, known := p.guest.sysctls()[k]
		if !known {
			p.fail("cannot stat /proc/sys/%s: No such file or directory", strings.ReplaceAll(k, ".", "/"))
			return 255
		}
		if set {
			if p.session.user != "root" {
				p.fail("permission denied on key %q", k)
				return 255
			}
			was := have
			have = strings.TrimSpace(v)
			if have != was && !slices.Contains(strings.Fields(tunable), k) {
				return p.unknown(a)
			}
			if err := p.guest.update(func(st *guestState) {
				if st.Sysctl == nil {
					st.Sysctl = map[string]string{}
				}
				st.Sysctl[k] = have
			}); err != nil {
				return p.fail("%v", err)
			}
		}
		switch {
		case is(given, "q"):
		case is(given, "n"):
			p.printf("%s\n", have)
		default:
			p.printf("%s = %s\n", k, have)
		}
	}
	return 0
}
