package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/pkg/v3/resource/stack"
	"github.com/pulumi/pulumi/pkg/v3/secrets"
	"github.com/pulumi/pulumi/pkg/v3/secrets/passphrase"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/encoding"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
)

// file is where Pulumi's file backend keeps a stack.
func (s *Stack) file() string {
	return filepath.Join(s.o.Dir, "pulumi/state/.pulumi/stacks", project, s.o.Stack+".json")
}

// load reads the state file; none means an empty stack.
func (s *Stack) load(ctx context.Context) error {
	b, err := os.ReadFile(s.file())
	if errors.Is(err, fs.ErrNotExist) {
		s.snap = nil
		if s.sm == nil {
			_, s.sm, err = passphrase.NewPassphraseSecretsManager(s.o.Passphrase)
			return err
		}
		return nil
	}
	if err != nil {
		return err
	}
	c, _, _, err := stack.UnmarshalVersionedCheckpointToLatestCheckpoint(encoding.JSON, b)
	if err != nil {
		return err
	}
	snap, err := stack.DeserializeCheckpoint(ctx, s, c)
	if err != nil {
		return err
	}
	s.snap = snap
	if snap != nil && snap.SecretsManager != nil {
		s.sm = snap.SecretsManager
	}
	return nil
}

// OfType makes Stack a secrets.Provider that knows passphrases only. The manager of the last load is used again where the
// salt is the same: deriving a key from a passphrase takes a fifth of a second.
func (s *Stack) OfType(_ context.Context, kind string, state json.RawMessage) (secrets.Manager, error) {
	if kind != passphrase.Type {
		return nil, fmt.Errorf("the state's secrets are of type %q, not %q", kind, passphrase.Type)
	}
	var want, have struct{ Salt string }
	if err := json.Unmarshal(state, &want); err != nil {
		return nil, err
	}
	if s.sm != nil {
		if err := json.Unmarshal(s.sm.State(), &have); err == nil && have.Salt == want.Salt {
			return s.sm, nil
		}
	}
	return passphrase.GetPassphraseSecretsManager(s.o.Passphrase, want.Salt)
}

// Save makes Stack a backend.SnapshotPersister: it is called before and after each step. It makes no folder: Open did, and where that is
// gone by now the lab's keys are gone with it.
func (s *Stack) Save(d apitype.TypedDeployment) error {
	name := tokens.QName("organization/" + project + "/" + s.o.Stack)
	c, err := stack.DeploymentV3ToCheckpoint(name, d.Deployment, d.Version, d.Features)
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(c, "", "    ")
	if err != nil {
		return err
	}
	if err := s.write(b); err != nil && !s.destroying {
		return err
	}
	// What the file still names and is gone is gone for the next Destroy, too: so it is after a kill between a step and its Save. And
	// on a full disk it is Destroy that makes room.
	return nil
}

// write has a fixed name for what is half written, which the next one writes over: the caller holds the lab's lock. It doesn't wait for the
// disk, twice for each step: a state that a power cut has damaged is said to be, and destroy goes by the machines' marks.
func (s *Stack) write(checkpoint []byte) error {
	// So that the pulumi command, pointed here, knows the layout.
	meta := filepath.Join(s.o.Dir, "pulumi/state/.pulumi/meta.yaml")
	if _, err := os.Stat(meta); err != nil {
		if err := os.WriteFile(meta, []byte("version: 1\n"), 0o600); err != nil {
			return err
		}
	}
	tmp := s.file() + ".tmp"
	if err := os.WriteFile(tmp, checkpoint, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, s.file())
}
