package vbox

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const locked = "The machine 'x' is already locked for a session (or being unlocked)"

func TestRetry(t *testing.T) {
	t.Run("a transient refusal of a repeatable call", func(t *testing.T) {
		c := client(t, "linux", refuses("setextradata x k v", locked), refuses("setextradata x k v", locked), says("setextradata x k v", ""))
		if err := c.SetExtraData(t.Context(), "x", "k", "v"); err != nil {
			t.Error(err)
		}
	})
	t.Run("it ends", func(t *testing.T) {
		script := make([]recorded, attempts)
		for i := range script {
			script[i] = refuses("setextradata x k v", locked)
		}
		if err := client(t, "linux", script...).SetExtraData(t.Context(), "x", "k", "v"); !errors.Is(err, ErrInvalidState) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a call that is not repeatable", func(t *testing.T) {
		c := client(t, "linux", says("snapshot x list --machinereadable", ""), refuses("snapshot x take n --description ", locked))
		if err := c.TakeSnapshot(t.Context(), "x", "n", ""); !errors.Is(err, errTransient) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("another refusal", func(t *testing.T) {
		c := client(t, "linux", refuses("setextradata x k v", "Could not find a registered machine named 'x'",
			"Details: code VBOX_E_OBJECT_NOT_FOUND (0x80bb0001), component VirtualBoxWrap"))
		if err := c.SetExtraData(t.Context(), "x", "k", "v"); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("not after the context is over", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := client(t, "linux", refuses("setextradata x k v", locked))
		c.retry = time.Hour
		scripted := c.exec
		c.exec = func(ctx context.Context, command, env []string) (output, error) {
			defer time.AfterFunc(time.Millisecond, cancel)
			return scripted(ctx, command, env)
		}
		if err := c.SetExtraData(ctx, "x", "k", "v"); !errors.Is(err, errTransient) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRepeatable(t *testing.T) {
	s := MachineSpec{}
	for _, a := range []args{
		versionArgs(), listMachinesArgs(), showMachineArgs("x"), showDiskArgs("x"), getExtraDataArgs("x", "k"), setExtraDataArgs("x", "k", "v"),
		modifyArgs("x", []string{"--memory", "1"}), cableArgs("x", 2, true), linkArgs("x", 2, true), attachDiskArgs("x", "d"), closeDiskArgs("d"), deleteDiskArgs("d"), unregisterArgs("x"),
		discardStateArgs("x"), listSnapshotsArgs("x"),
	} {
		if !repeatable(a) {
			t.Errorf("%q should be repeatable", a)
		}
	}
	for _, a := range []args{
		createMachineArgs(s), addForwardArgs("x", 1, Forward{}), deleteForwardArgs("x", 1, "r"), addControllerArgs("x"), createLinkedDiskArgs("d", "b"),
		convertRawArgs("a", "b"), cloneDiskArgs("a", "b"), resizeDiskArgs("d", 1), startArgs("x"), powerOffArgs("x"), powerButtonArgs("x"),
		takeSnapshotArgs("x", "n", ""), restoreSnapshotArgs("x", "n"), deleteSnapshotArgs("x", "n"), createHostOnlyIfArgs(), createHostOnlyNetArgs("n", netip.MustParsePrefix("10.0.0.1/24")),
	} {
		if repeatable(a) {
			t.Errorf("%q should not be repeatable", a)
		}
	}
}

func TestCall(t *testing.T) {
	t.Run("an error with exit status 0", func(t *testing.T) {
		failed := answer(t, "odd.txt", "discardstate w1")
		failed.exit = 0
		_, err := client(t, "linux", recorded{"discardstate w1", failed}).run(t.Context(), discardStateArgs("w1"))
		var e *Error
		if !errors.As(err, &e) || e.Exit != 0 || !errors.Is(err, ErrInvalidState) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("adapters that cannot be listed, with exit status 0", func(t *testing.T) {
		c := client(t, "linux", recorded{"list hostonlyifs", output{stderr: "VBoxNetAdpCtl: failed to open /dev/vboxnetctl: No such file\n"}})
		if _, err := c.HostOnlyNetworks(t.Context()); err == nil {
			t.Error("no error")
		}
	})
	t.Run("warnings are no errors", func(t *testing.T) {
		c := client(t, "linux", recorded{"modifyvm x --memory 1", answer(t, "life.txt", "modifyvm lab-cp1 --nic2 hostonly --host-only-adapter2 vboxnet0")})
		if _, err := c.run(t.Context(), modifyArgs("x", []string{"--memory", "1"})); err != nil {
			t.Error(err)
		}
	})
	t.Run("the wrapper's warnings and Windows' line ends", func(t *testing.T) {
		c := client(t, "windows", says("list vms", "WARNING: x\r\n\t y\r\n\"a b\" {5c30ffcd-9f78-4301-8b83-0dcdd98f72d3}\r\n"))
		got, err := c.Machines(t.Context())
		if diff := cmp.Diff([]MachineRef{{"a b", "5c30ffcd-9f78-4301-8b83-0dcdd98f72d3"}}, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
	t.Run("a time limit", func(t *testing.T) {
		c := New(Options{Timeout: time.Millisecond})
		c.exec = func(ctx context.Context, _, _ []string) (output, error) { <-ctx.Done(); return output{exit: -1}, nil }
		_, err := c.Machines(t.Context())
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 1ms") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an interrupt", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := New(Options{})
		c.exec = func(context.Context, []string, []string) (output, error) { cancel(); return output{exit: 1}, nil }
		if _, err := c.Machines(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("copying disks may take longer", func(t *testing.T) {
		c := New(Options{})
		var left time.Duration
		c.exec = func(ctx context.Context, _, _ []string) (output, error) {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return output{}, nil
		}
		for _, a := range []args{cloneDiskArgs("a", "b"), convertRawArgs("a", "b"), resizeDiskArgs("a", 1), deleteSnapshotArgs("x", "n")} {
			if _, err := c.run(t.Context(), a); err != nil || left < 20*time.Minute {
				t.Errorf("%q: %v, %s", a, err, left)
			}
		}
		if _, err := c.run(t.Context(), listSnapshotsArgs("x")); err != nil || left > 2*time.Minute {
			t.Errorf("%v, %s", err, left)
		}
	})
	t.Run("no program", func(t *testing.T) {
		_, err := New(Options{Command: []string{filepath.Join(t.TempDir(), "VBoxManage")}}).Machines(t.Context())
		if !errors.Is(err, errNotInstalled) {
			t.Errorf("got %v", err)
		}
	})
}

func showing(id, state string) recorded {
	return says("showvminfo "+id+" --machinereadable", "name=\"n\"\nUUID=\"u\"\ncpus=1\nmemory=512\nVMState=\""+state+"\"\n")
}

func TestStart(t *testing.T) {
	started := `VM "n" has been successfully started.` + "\n"
	for name, script := range map[string][]recorded{
		"off":     {showing("n", "poweroff"), says("startvm u --type headless", started)},
		"saved":   {showing("n", "saved"), says("startvm u --type headless", started)},
		"running": {showing("n", "running")},
		"paused":  {showing("n", "paused"), says("controlvm u resume", "")},
		"started, it says, and exits 1": {showing("n", "poweroff"), {"startvm u --type headless", output{stdout: started, exit: 1,
			stderr: "VBoxManage: error: whatever\n"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := client(t, "linux", script...).StartMachine(t.Context(), "n"); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStartFails(t *testing.T) {
	logs := t.TempDir()
	log := filepath.Join(logs, "VBox.log")
	if err := os.WriteFile(log, []byte("first\n"+strings.Repeat("middle\n", 50)+"VERR_VMX_IN_VMX_ROOT_MODE\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	show := says("showvminfo n --machinereadable", "name=\"n\"\nUUID=\"u\"\ncpus=1\nmemory=512\nVMState=\"poweroff\"\nLogFldr=\""+logs+"\"\n")
	fail := answer(t, "life.txt", "startvm lab-cp1 --type headless")
	err := client(t, "linux", show, recorded{"startvm u --type headless", fail}).StartMachine(t.Context(), "n")
	if err == nil || !strings.Contains(err.Error(), `VBoxManage startvm: exit status 1: The virtual machine 'lab-cp1' has terminated`) ||
		!strings.HasSuffix(err.Error(), "VERR_VMX_IN_VMX_ROOT_MODE") || strings.Contains(err.Error(), "first") {
		t.Errorf("got %v", err)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(log, old, old); err != nil {
		t.Fatal(err)
	}
	err = client(t, "linux", show, recorded{"startvm u --type headless", fail}).StartMachine(t.Context(), "n")
	if err == nil || strings.Contains(err.Error(), "VERR_VMX") {
		t.Errorf("the log of an earlier start is shown: %v", err)
	}
}

func TestStop(t *testing.T) {
	notRunning := answer(t, "life.txt", "controlvm lab-cp1 poweroff")
	for name, test := range map[string]struct {
		grace  time.Duration
		script []recorded
		steps  []string
	}{
		"off":     {time.Minute, []recorded{showing("n", "poweroff")}, nil},
		"aborted": {time.Minute, []recorded{showing("n", "aborted")}, nil},
		"guest obeys": {time.Minute, []recorded{showing("n", "running"), says("controlvm u acpipowerbutton", ""), showing("u", "running"), showing("u", "poweroff")},
			[]string{"asking the guest to shut down"}},
		"guest does not": {time.Nanosecond, []recorded{showing("n", "running"), says("controlvm u acpipowerbutton", ""), showing("u", "running"),
			says("controlvm u poweroff", ""), showing("u", "stopping"), showing("u", "poweroff")}, []string{"asking the guest to shut down", "switching off"}},
		"no grace":           {0, []recorded{showing("n", "running"), says("controlvm u poweroff", ""), showing("u", "poweroff")}, []string{"switching off"}},
		"paused":             {time.Minute, []recorded{showing("n", "paused"), says("controlvm u poweroff", ""), showing("u", "poweroff")}, []string{"switching off"}},
		"went off by itself": {0, []recorded{showing("n", "running"), {"controlvm u poweroff", notRunning}, showing("u", "poweroff")}, []string{"switching off"}},
		"saved":              {time.Minute, []recorded{showing("n", "saved"), says("discardstate u", "")}, []string{"discarding saved state"}},
		"aborted-saved":      {time.Minute, []recorded{showing("n", "aborted-saved"), says("discardstate u", "")}, []string{"discarding saved state"}},
	} {
		t.Run(name, func(t *testing.T) {
			var steps []string
			c := client(t, "linux", test.script...)
			if test.grace == time.Nanosecond {
				c.poll = time.Hour // the grace ends first
				inner, n := c.exec, 0
				c.exec = func(ctx context.Context, command, env []string) (output, error) {
					if n++; n == 4 {
						c.poll = 1
					}
					return inner(ctx, command, env)
				}
			}
			if err := c.StopMachine(t.Context(), "n", test.grace, func(s string) { steps = append(steps, s) }); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.steps, steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("stays on", func(t *testing.T) {
		c := client(t, "linux")
		c.timeout = 20 * time.Millisecond
		c.exec = func(_ context.Context, command, _ []string) (output, error) {
			if command[1] == "showvminfo" {
				return showing("u", "stopping").output, nil
			}
			return output{}, nil
		}
		if err := c.StopMachine(t.Context(), "n", 0, noStep); err == nil || !strings.Contains(err.Error(), `still "stopping"`) {
			t.Errorf("got %v", err)
		}
	})
}

func TestRemoveInaccessible(t *testing.T) {
	const id = "5c30ffcd-9f78-4301-8b83-0dcdd98f72d3"
	show := "showvminfo " + id + " --machinereadable"
	c := client(t, "linux", recorded{show, answer(t, "odd.txt", show)}, says("unregistervm "+id, ""))
	if err := c.RemoveMachine(t.Context(), id, "labctl/lab", "me", noStep); err != nil {
		t.Error(err)
	}
}

func TestRemoveForeign(t *testing.T) {
	for name, answer := range map[string]string{"no mark": "No value set!\n", "another mark": "Value: you\n", "empty mark": "Value: \n"} {
		for _, owner := range []string{"me", ""} {
			if name == "empty mark" && owner == "" {
				continue
			}
			c := client(t, "linux", showing("n", "running"), says("getextradata u labctl/lab", answer))
			if err := c.RemoveMachine(t.Context(), "n", "labctl/lab", owner, noStep); !errors.Is(err, ErrForeign) {
				t.Errorf("%s, owner %q: got %v", name, owner, err)
			}
		}
	}
}

func TestHostOnly(t *testing.T) {
	host := netip.MustParsePrefix("192.168.56.1/24")
	if0 := "Name: vboxnet0\nIPAddress: 10.0.0.1\nNetworkMask: 255.0.0.0\nStatus: Up\nVBoxNetworkName: HostInterfaceNetworking-vboxnet0\n\n"
	if1 := "Name: vboxnet1\nIPAddress: 0.0.0.0\nNetworkMask: 0.0.0.0\nStatus: Down\n\n"
	done := strings.Replace(strings.Replace(if1, "0.0.0.0", "192.168.56.1", 1), "0.0.0.0", "255.255.255.0", 1)
	other := strings.ReplaceAll(if1, "vboxnet1", "vboxnet2")
	list := func(s string) recorded { return says("list hostonlyifs", s) }
	created := says("hostonlyif create", "0%...100%\nInterface 'vboxnet1' was successfully created\n")
	ipconfig := "hostonlyif ipconfig vboxnet1 --ip 192.168.56.1 --netmask 255.255.255.0"
	denied := refuses(ipconfig, "Code E_ACCESSDENIED (0x80070005) - Access denied (extended info not available)", `Context: "EnableStaticIPConfig(Bstr(pszIp).raw(), Bstr(pszNetmask).raw())" at line 252 of file VBoxManageHostonly.cpp`)
	failed := recorded{"hostonlyif create", answer(t, "life.txt", "hostonlyif create")}
	silent := make([]recorded, createPolls)
	for i := range silent {
		silent[i] = list(if0)
	}
	for name, test := range map[string]struct {
		script []recorded
		kind   error // nil: it must work
	}{
		"created":                     {[]recorded{list(if0), created, list(if0 + if1), says(ipconfig, ""), list(if0 + done)}, nil},
		"appears late":                {[]recorded{list(if0), created, list(if0), list(if0 + if1), says(ipconfig, ""), list(if0 + done)}, nil},
		"fails, but is there":         {[]recorded{list(if0), failed, list(if0 + if1), says(ipconfig, ""), list(if0 + done)}, nil},
		"somebody else makes one too": {[]recorded{list(if0), created, list(if0 + other + if1), says(ipconfig, ""), list(if0 + other + done)}, nil},
		"address refused":             {[]recorded{list(if0), created, list(if0 + if1), denied, says("hostonlyif remove vboxnet1", "")}, ErrAccessDenied},
		"fails, and is not there":     {append([]recorded{list(if0), failed}, silent...), errAny},
		"nothing appears":             {append([]recorded{list(if0), says("hostonlyif create", "")}, silent...), errAny},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client(t, "linux", test.script...).CreateHostOnly(t.Context(), host)
			if test.kind != nil {
				if err == nil || test.kind != errAny && !errors.Is(err, test.kind) {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			}
			if err != nil || got.Name != "vboxnet1" || got.Address != host {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	t.Run("macOS", func(t *testing.T) {
		const name = "labctl-192-168-56-0"
		c := client(t, "darwin", says("list hostonlynets", ""),
			says("hostonlynet add --name "+name+" --netmask 255.255.255.0 --lower-ip 192.168.56.1 --upper-ip 192.168.56.2 --enable", ""),
			says("list hostonlynets", "Name: "+name+"\n"), says("list hostonlynets", "Name: "+name+"\nState: Enabled\nNetworkMask: 255.255.255.0\nLowerIP: 192.168.56.1\n"),
			says("hostonlynet modify --name "+name+" --netmask 255.255.255.0 --lower-ip 192.168.56.1 --upper-ip 192.168.56.2 --enable", ""),
			says("hostonlynet remove --name "+name, ""))
		got, err := c.CreateHostOnly(t.Context(), host)
		if err != nil || got.Name != name || got.Address != host || !got.Up {
			t.Errorf("got %+v, %v", got, err)
		}
		if err := errors.Join(c.SetHostOnlyAddress(t.Context(), name, host), c.RemoveHostOnly(t.Context(), name)); err != nil {
			t.Error(err)
		}
	})
	t.Run("address and removal", func(t *testing.T) {
		gone := answer(t, "life.txt", "hostonlyif ipconfig vboxnet0 --ip 192.168.56.1 --netmask 255.255.255.0")
		c := client(t, "linux", says(ipconfig, ""), denied, recorded{"hostonlyif remove vboxnet1", gone}, failed.as("hostonlyif remove vboxnet1"))
		if err := c.SetHostOnlyAddress(t.Context(), "vboxnet1", host); err != nil {
			t.Error(err)
		}
		if err := c.SetHostOnlyAddress(t.Context(), "vboxnet1", host); !errors.Is(err, ErrAccessDenied) {
			t.Errorf("got %v", err)
		}
		if err := c.RemoveHostOnly(t.Context(), "vboxnet1"); err != nil {
			t.Errorf("one that is gone: %v", err)
		}
		if err := c.RemoveHostOnly(t.Context(), "vboxnet1"); err == nil {
			t.Error("a failure is hidden")
		}
	})
}

var errAny = errors.New("any")

func (r recorded) as(command string) recorded { return recorded{command, r.output} }

// TestCallsDoNotOverlap: VirtualBox fails or hangs by chance when calls of one user overlap.
func TestCallsDoNotOverlap(t *testing.T) {
	c := New(Options{GOOS: "linux"})
	var mu sync.Mutex
	under, most := 0, 0
	both := make(chan struct{})
	c.exec = func(context.Context, []string, []string) (output, error) {
		mu.Lock()
		under++
		most = max(most, under)
		mu.Unlock()
		defer func() { mu.Lock(); under--; mu.Unlock() }()
		select { // another call would come in meanwhile
		case both <- struct{}{}:
		case <-both:
		case <-time.After(time.Millisecond):
		}
		return output{stdout: "7.2.22r1\n"}, nil
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := c.Version(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if most != 1 {
		t.Errorf("%d calls at once", most)
	}
}

func TestSetLink(t *testing.T) {
	machine := func(name, state, cable string) recorded {
		r := showing(name, state)
		r.stdout += "nic2=\"hostonly\"\nhostonlyadapter2=\"vboxnet0\"\nmacaddress2=\"0800270000AA\"\ncableconnected2=\"" + cable + "\"\n"
		return r
	}
	for name, test := range map[string]struct {
		slot   int
		on     bool
		script []recorded
		fails  string
	}{
		"running":       {2, false, []recorded{machine("n", "running", "on"), says("controlvm u setlinkstate2 off", "")}, ""},
		"off":           {2, true, []recorded{machine("n", "poweroff", "off"), says("modifyvm u --cable-connected2 on", "")}, ""},
		"as it is":      {2, true, []recorded{machine("n", "running", "on")}, ""},
		"no such NIC":   {3, true, []recorded{machine("n", "running", "on")}, "it has no NIC 3"},
		"it is refused": {2, false, []recorded{machine("n", "running", "on"), refuses("controlvm u setlinkstate2 off", "no")}, "controlvm"},
	} {
		t.Run(name, func(t *testing.T) {
			err := client(t, "linux", test.script...).SetLink(t.Context(), "n", test.slot, test.on)
			if (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
				t.Errorf("got %v, want %q", err, test.fails)
			}
		})
	}
}
