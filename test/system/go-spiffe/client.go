package main

import (
	"context"
	"crypto/x509"
	"io"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

// Every call of the Workload API, with what came checked by go-spiffe.
func runClient(ctx context.Context, socket, audience string) error {
	client, err := workloadapi.New(ctx, workloadapi.WithAddr("unix://"+socket))
	if err != nil {
		return err
	}
	defer client.Close()
	x509Context, err := client.FetchX509Context(ctx)
	if err != nil {
		return err
	}
	ids := []string{}
	hints := []string{}
	for _, svid := range x509Context.SVIDs {
		id, chains, err := x509svid.Verify(svid.Certificates, x509Context.Bundles)
		if err != nil {
			return err
		}
		if len(chains) == 0 {
			continue
		}
		ids = append(ids, id.String())
		hints = append(hints, svid.Hint)
	}
	x509Bundles, err := client.FetchX509Bundles(ctx)
	if err != nil {
		return err
	}
	jwtBundles, err := client.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	tokens, err := client.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return err
	}
	subjects := []string{}
	for _, token := range tokens {
		svid, err := jwtsvid.ParseAndValidate(token.Marshal(), jwtBundles, []string{audience})
		if err != nil {
			return err
		}
		subjects = append(subjects, svid.ID.String())
	}
	validated, err := client.ValidateJWTSVID(ctx, tokens[0].Marshal(), audience)
	if err != nil {
		return err
	}
	_, wrongAudience := client.ValidateJWTSVID(ctx, tokens[0].Marshal(), "another")
	domains := []string{}
	for _, bundle := range x509Bundles.Bundles() {
		domains = append(domains, bundle.TrustDomain().Name())
	}
	say(report{
		"ids":           ids,
		"hints":         hints,
		"default":       x509Context.DefaultSVID().ID.String(),
		"domains":       domains,
		"jwtDomains":    jwtBundles.Len(),
		"subjects":      subjects,
		"validated":     validated.ID.String(),
		"wrongAudience": wrongAudience != nil,
	})
	return nil
}

type watcher struct{}

func (watcher) OnX509ContextUpdate(x509Context *workloadapi.X509Context) {
	svid := x509Context.DefaultSVID()
	_, _, err := x509svid.Verify(svid.Certificates, x509Context.Bundles)
	say(report{
		"id":       svid.ID.String(),
		"serial":   svid.Certificates[0].SerialNumber.String(),
		"verified": err == nil,
	})
}

func (watcher) OnX509ContextWatchError(err error) {
	say(report{"watchError": err.Error()})
}

// Prints each update until it is ended.
func runWatch(ctx context.Context, socket string) error {
	client, err := workloadapi.New(ctx, workloadapi.WithAddr("unix://"+socket))
	if err != nil {
		return err
	}
	defer client.Close()
	return client.WatchX509Context(ctx, watcher{})
}

// Connects by mTLS with the SVID of the Workload API and reads what the server says.
func runDial(ctx context.Context, socket, address, serverID string) error {
	source, err := workloadapi.NewX509Source(
		ctx,
		workloadapi.WithClientOptions(workloadapi.WithAddr("unix://"+socket)),
	)
	if err != nil {
		return err
	}
	defer source.Close()
	id, err := spiffeid.FromString(serverID)
	if err != nil {
		return err
	}
	conn, err := spiffetls.DialWithMode(
		ctx,
		"tcp",
		address,
		spiffetls.MTLSClientWithRawConfig(tlsconfig.AuthorizeID(id), source, source),
	)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	peer, err := spiffetls.PeerIDFromConn(conn)
	if err != nil {
		return err
	}
	say(report{"said": string(said), "peer": peer.String()})
	return nil
}

func concatenated(certificates []*x509.Certificate) []byte {
	var all []byte
	for _, certificate := range certificates {
		all = append(all, certificate.Raw...)
	}
	return all
}
