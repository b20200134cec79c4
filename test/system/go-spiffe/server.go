package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/proto/spiffe/workload"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	trustDomain = "go.example"
	workloadID  = "spiffe://go.example/judged"
)

var leafUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

// A provider made of Go's own X.509 and go-jose, without any code of ours.
type provider struct {
	workload.UnimplementedSpiffeWorkloadAPIServer
	root    *x509.Certificate
	rootKey *ecdsa.PrivateKey
	jwtKey  *ecdsa.PrivateKey

	mutex  sync.Mutex
	denied bool
	// Closed and made anew at each change.
	changed chan struct{}
}

func newProvider() (*provider, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	jwtKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "go root"},
		NotBefore:             time.Now().Add(-time.Minute),
		NotAfter:              time.Now().Add(time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{{Scheme: "spiffe", Host: trustDomain}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &provider{
		root: root, rootKey: rootKey, jwtKey: jwtKey, changed: make(chan struct{}),
	}, nil
}

func (p *provider) setDenied(denied bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.denied = denied
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *provider) state() (bool, <-chan struct{}) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.denied, p.changed
}

// Sends a message at once and after each change.
func (p *provider) follow(ctx context.Context, send func() error) error {
	if err := checkHeader(ctx); err != nil {
		return err
	}
	for {
		denied, changed := p.state()
		if denied {
			return status.Error(codes.PermissionDenied, "denied")
		}
		if err := send(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func checkHeader(ctx context.Context) error {
	headers, _ := metadata.FromIncomingContext(ctx)
	if values := headers.Get("workload.spiffe.io"); len(values) != 1 || values[0] != "true" {
		return status.Error(codes.InvalidArgument, "security header missing")
	}
	return nil
}

func (p *provider) FetchX509SVID(
	_ *workload.X509SVIDRequest, stream workload.SpiffeWorkloadAPI_FetchX509SVIDServer,
) error {
	return p.follow(stream.Context(), func() error {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
		if err != nil {
			return err
		}
		template := &x509.Certificate{
			SerialNumber:          serial,
			NotBefore:             time.Now().Add(-time.Minute),
			NotAfter:              time.Now().Add(10 * time.Minute),
			KeyUsage:              x509.KeyUsageDigitalSignature,
			ExtKeyUsage:           leafUsages,
			BasicConstraintsValid: true,
			URIs:                  []*url.URL{{Scheme: "spiffe", Host: trustDomain, Path: "/judged"}},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, p.root, key.Public(), p.rootKey)
		if err != nil {
			return err
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		return stream.Send(&workload.X509SVIDResponse{Svids: []*workload.X509SVID{{
			SpiffeId: workloadID, X509Svid: der, X509SvidKey: pkcs8,
			Bundle: concatenated([]*x509.Certificate{p.root}),
		}}})
	})
}

func (p *provider) FetchX509Bundles(
	_ *workload.X509BundlesRequest, stream workload.SpiffeWorkloadAPI_FetchX509BundlesServer,
) error {
	return p.follow(stream.Context(), func() error {
		bundles := map[string][]byte{"spiffe://" + trustDomain: p.root.Raw}
		return stream.Send(&workload.X509BundlesResponse{Bundles: bundles})
	})
}

func (p *provider) bundle() *jwtbundle.Bundle {
	bundle := jwtbundle.New(spiffeid.RequireTrustDomainFromString(trustDomain))
	// the key id cannot be empty, nor is it held already
	if err := bundle.AddJWTAuthority("go-key", p.jwtKey.Public()); err != nil {
		panic(err)
	}
	return bundle
}

func (p *provider) FetchJWTBundles(
	_ *workload.JWTBundlesRequest, stream workload.SpiffeWorkloadAPI_FetchJWTBundlesServer,
) error {
	return p.follow(stream.Context(), func() error {
		jwks, err := p.bundle().Marshal()
		if err != nil {
			return err
		}
		bundles := map[string][]byte{"spiffe://" + trustDomain: jwks}
		return stream.Send(&workload.JWTBundlesResponse{Bundles: bundles})
	})
}

func (p *provider) FetchJWTSVID(
	ctx context.Context, request *workload.JWTSVIDRequest,
) (*workload.JWTSVIDResponse, error) {
	if err := checkHeader(ctx); err != nil {
		return nil, err
	}
	key := jose.SigningKey{
		Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.jwtKey, KeyID: "go-key"},
	}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	token, err := jwt.Signed(signer).Claims(jwt.Claims{
		Subject: workloadID, Audience: request.Audience,
		Expiry: jwt.NewNumericDate(time.Now().Add(5 * time.Minute)),
	}).Serialize()
	if err != nil {
		return nil, err
	}
	svids := []*workload.JWTSVID{{SpiffeId: workloadID, Svid: token}}
	return &workload.JWTSVIDResponse{Svids: svids}, nil
}

func (p *provider) ValidateJWTSVID(
	ctx context.Context, request *workload.ValidateJWTSVIDRequest,
) (*workload.ValidateJWTSVIDResponse, error) {
	if err := checkHeader(ctx); err != nil {
		return nil, err
	}
	svid, err := jwtsvid.ParseAndValidate(request.Svid, p.bundle(), []string{request.Audience})
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	claims, err := structpb.NewStruct(svid.Claims)
	if err != nil {
		return nil, err
	}
	return &workload.ValidateJWTSVIDResponse{SpiffeId: svid.ID.String(), Claims: claims}, nil
}

// Serves on the socket; each line of standard input is a command: rotate, deny, allow.
func runServer(ctx context.Context, socket string) error {
	p, err := newProvider()
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	workload.RegisterSpiffeWorkloadAPIServer(server, p)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			switch lines.Text() {
			case "rotate", "allow":
				p.setDenied(false)
			case "deny":
				p.setDenied(true)
			default:
				fmt.Fprintln(os.Stderr, "unknown command", lines.Text())
			}
		}
		server.Stop()
	}()
	go func() {
		<-ctx.Done()
		server.Stop()
	}()
	say(report{"serving": workloadID})
	return server.Serve(listener)
}
